// What each slider is about: its controls, and what is seen for their values.

import { COLORS } from "../chart.js";
import { activations, softmax } from "../functions.js";
import { crossEntropy, depth, optimizers, path, surfaces } from "./curves.js";

/**
 * @typedef {{ name: string, label: string, min: number, max: number, step: number, value: number, powers?: boolean }} Slider
 *   with `powers`, the number is ten to the power of where the slider is
 * @typedef {{ name: string, label: string, options: string[] }} Choice
 * @typedef {Record<string, any>} State
 * @typedef {{ sliders: Slider[], choices: Choice[],
 *   see: (state: State) => { charts: import("../chart.js").Chart[], bars?: Bar[], says: string } }} Kind
 * @typedef {{ name: string, value: number, from: number, to: number }} Bar
 */

const { blue, orange, green } = COLORS;
const STEPS = 40;
const digits = (/** @type {number} */ x, n = 3) => Number(x.toPrecision(n)).toString().replace("-", "−");
const range = (/** @type {number} */ a, /** @type {number} */ b, n = 200) => Array.from({ length: n + 1 }, (_, i) => a + ((b - a) * i) / n);

/** @type {Record<string, Kind>} */
export const kinds = {
  softmax: {
    sliders: ["a", "b", "c"].map((name, k) => ({ name, label: `logit of ${name}`, min: -8, max: 8, step: 0.1, value: [2, 1, -1][k] })),
    choices: [{ name: "label", label: "right class", options: ["a", "b", "c"] }],
    see: ({ a, b, c, label }) => {
      const names = ["a", "b", "c"], z = [a, b, c], p = softmax(z);
      const { loss, gradient } = crossEntropy(z, names.indexOf(label));
      return {
        charts: [],
        bars: [
          ...names.map((name, k) => ({ name: `p of ${name}`, value: p[k], from: 0, to: 1 })),
          ...names.map((name, k) => ({ name: `dz of ${name}`, value: gradient[k], from: -1, to: 1 })),
        ],
        says: `The loss is ${digits(loss)}. The right class is pulled up with ${digits(1 - p[names.indexOf(label)])}, and the others are pushed down with their probabilities. All three together: 0.`,
      };
    },
  },
  saturation: {
    sliders: [{ name: "z", label: "z", min: -8, max: 8, step: 0.1, value: 1 }],
    choices: [{ name: "of", label: "function", options: Object.keys(activations) }],
    see: ({ z, of }) => {
      const { value, slope } = activations[of], at = value(z), steep = slope(z);
      const top = of === "relu" ? 8 : 1.2;
      return {
        charts: [{
          name: `${of} with its tangent at z = ${digits(z)}`, xlabel: "z", ylabel: of, x: [-8, 8], y: [of === "sigmoid" ? -0.2 : -1.2, top],
          lines: [
            { points: range(-8, 8).map((x) => [x, value(x)]), color: blue },
            { points: [[z - 3, at - 3 * steep], [z + 3, at + 3 * steep]], color: orange, dash: "5 4" },
            { points: [[z, at]], color: orange, marks: true },
          ],
        }],
        says: `The slope is ${digits(steep)}: of a gradient of 1 that arrives, ${digits(steep)} passes. After ten such units in a row, ${digits(steep ** 10)} is left.`,
      };
    },
  },
  optimizers: {
    sliders: [
      { name: "lr", label: "learning rate of SGD and momentum", min: -3, max: 0.5, step: 0.05, value: -1.5, powers: true },
      { name: "momentum", label: "momentum", min: 0, max: 0.99, step: 0.01, value: 0.7 },
      { name: "adam", label: "learning rate of Adam", min: -3, max: 0.5, step: 0.05, value: -0.5, powers: true },
    ],
    choices: [{ name: "surface", label: "loss", options: ["ravine", "bowl"] }],
    see: ({ lr, momentum, adam, surface }) => {
      const curvatures = surfaces[/** @type {"bowl"} */ (surface)], start = surface === "bowl" ? [-9, 5] : [-9, 1.2];
      const ways = { SGD: [lr, 0], momentum: [lr, momentum], Adam: [adam, 0] };
      const colors = { SGD: orange, momentum: blue, Adam: green }, dashes = { SGD: "", momentum: "6 3", Adam: "2 3" };
      const lines = Object.entries(ways).map(([name, [rate, mu]]) => ({
        name, color: colors[/** @type {"SGD"} */ (name)], dash: dashes[/** @type {"SGD"} */ (name)], marks: true,
        points: path(optimizers[name](rate, mu), curvatures, start, STEPS),
      }));
      const last = (/** @type {number[][]} */ points) => points[STEPS].reduce((total, w, i) => total + (curvatures[i] * w * w) / 2, 0);
      const height = surface === "bowl" ? 8 : 2.4;
      return {
        charts: [{
          name: `The ways of three optimizers over a ${surface}`, xlabel: "parameter 1", ylabel: "parameter 2", x: [-10, 4], y: [-height, height],
          lines: [...contours(curvatures), ...lines],
        }],
        says: `Losses after ${STEPS} steps: ${lines.map((line) => `${line.name} ${digits(last(line.points))}`).join(", ")}. With a learning rate of ${digits(lr)}, SGD diverges where the curvature is above ${digits(2 / lr)}.`,
      };
    },
  },
  depth: {
    sliders: [{ name: "gain", label: "gain (deviation · √n)", min: 0.2, max: 4, step: 0.02, value: 1 }],
    choices: [
      { name: "of", label: "function", options: ["relu", "tanh", "sigmoid"] },
      { name: "rule", label: "rule", options: ["Xavier (gain 1)", "He (gain √2)", "the slider"] },
    ],
    see: ({ gain, of, rule }) => {
      const used = rule.startsWith("Xavier") ? 1 : rule.startsWith("He") ? Math.SQRT2 : gain;
      const { forward, backward } = depth(of, used);
      return {
        charts: [{
          name: "Sizes of activations and of their gradients over ten layers", xlabel: "layer (0 is the input)", ylabel: "root mean square", x: [0, 10], y: [1e-6, 1e4], log: true,
          lines: [
            { name: "activations", points: forward.map((v, n) => [n, v]), color: blue, marks: true },
            { name: "gradients", points: backward.map((v, n) => [n, v]), color: orange, dash: "6 3", marks: true },
          ],
        }],
        says: `With a gain of ${digits(used)}, ten layers multiply the size of the activations by ${digits(forward[10] / forward[0])}, and on the way back that of the gradients by ${digits(backward[0] / backward[10])}.`,
      };
    },
  },
  rate: {
    sliders: [
      { name: "lr", label: "learning rate", min: 0, max: 2.4, step: 0.02, value: 0.3 },
      { name: "curvature", label: "curvature of the loss", min: 0.5, max: 3, step: 0.1, value: 1 },
    ],
    choices: [],
    see: ({ lr, curvature }) => {
      const loss = (/** @type {number} */ w) => (curvature * w * w) / 2;
      const points = path(optimizers.SGD(lr, 0), [curvature], [3], 12).map(([w]) => [w, loss(w)]);
      const factor = 1 - lr * curvature;
      const what = Math.abs(factor) > 1 ? "it diverges" : Math.abs(factor) === 1 ? "it never comes nearer" : factor < 0 ? "it jumps from side to side, and comes nearer" : "it creeps down one side";
      return {
        charts: [{
          name: "Twelve steps of gradient descent down a parabola", xlabel: "w", ylabel: "loss", x: [-4, 4], y: [0, 14],
          lines: [{ points: range(-4, 4).map((w) => [w, loss(w)]), color: blue }, { points, color: orange, dash: "4 3", marks: true }],
        }],
        says: `Each step multiplies w by 1 − ${digits(lr)} · ${digits(curvature)} = ${digits(factor)}, so ${what}. The limit is a learning rate of 2 / ${digits(curvature)} = ${digits(2 / curvature)}.`,
      };
    },
  },
};

/** Lines of equal loss. @param {number[]} curvatures */
function contours(curvatures) {
  return [0.5, 4, 12, 25, 45].map((loss) => ({
    color: "color-mix(in srgb, currentColor 35%, transparent)", thin: true,
    points: range(0, 2 * Math.PI, 90).map((t) => [Math.sqrt((2 * loss) / curvatures[0]) * Math.cos(t), Math.sqrt((2 * loss) / curvatures[1]) * Math.sin(t)]),
  }));
}
