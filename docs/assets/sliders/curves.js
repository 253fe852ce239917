// The mathematics behind the sliders. A test compares each function with the package.

import { activations, logSumExp, softmax } from "../functions.js";
import { normal } from "../random.js";

/** @typedef {number[]} Row */

const sum = (/** @type {Row} */ row) => row.reduce((a, b) => a + b, 0);

/**
 * Cross-entropy of logits and a class, and its gradient with respect to the logits.
 * @param {Row} z @param {number} label
 * @returns {{ loss: number, gradient: Row }}
 */
export function crossEntropy(z, label) {
  return { loss: logSumExp(z) - z[label], gradient: softmax(z).map((x, k) => x - (k === label ? 1 : 0)) };
}

/** Losses of two weights, as half their curvatures times the squares: round, and long and narrow. */
export const surfaces = { bowl: [1, 1], ravine: [1, 30] };

/** @typedef {(gradient: Row, weights: Row) => Row} Update */

/**
 * Optimizers, each with a state of its own: a call takes a gradient and weights, and returns the new weights.
 * @type {Record<string, (lr: number, momentum: number) => Update>}
 */
export const optimizers = {
  SGD: (lr) => (gradient, weights) => weights.map((w, i) => w - lr * gradient[i]),
  momentum: (lr, momentum) => {
    let v = [0, 0];
    return (gradient, weights) => {
      v = v.map((x, i) => momentum * x + gradient[i]);
      return weights.map((w, i) => w - lr * v[i]);
    };
  },
  Adam: (lr) => {
    let m = [0, 0], s = [0, 0], t = 0;
    return (gradient, weights) => {
      t += 1;
      m = m.map((x, i) => 0.9 * x + 0.1 * gradient[i]);
      s = s.map((x, i) => 0.999 * x + 0.001 * gradient[i] ** 2);
      return weights.map((w, i) => w - (lr * (m[i] / (1 - 0.9 ** t))) / (Math.sqrt(s[i] / (1 - 0.999 ** t)) + 1e-8));
    };
  },
};

/**
 * The way of an optimizer over a surface.
 * @param {Update} update @param {Row} curvatures @param {Row} start @param {number} steps
 * @returns {Row[]}
 */
export function path(update, curvatures, start, steps) {
  const points = [start];
  for (let step = 0; step < steps; step++) {
    const weights = /** @type {Row} */ (points.at(-1));
    points.push(update(weights.map((w, i) => curvatures[i] * w), weights));
  }
  return points;
}

/**
 * How large activations and their gradients are, layer by layer, in a network of random weights.
 * The input and the gradient that arrives at the last layer have a standard deviation of 1.
 * @param {string} activation @param {number} gain weights have the standard deviation gain / √width
 * @param {number} [layers] @param {number} [width] @param {number} [examples]
 * @returns {{ forward: Row, backward: Row }} root mean squares, from the input and from the first layer on
 */
export function depth(activation, gain, layers = 10, width = 48, examples = 24) {
  const { value, slope } = activations[activation], draw = normal(1);
  const matrix = (/** @type {number} */ rows) => Array.from({ length: rows }, () => Array.from({ length: width }, draw));
  const size = (/** @type {Row[]} */ rows) => Math.sqrt(sum(rows.map((row) => sum(row.map((x) => x * x)))) / (rows.length * width));
  const product = (/** @type {Row[]} */ A, /** @type {Row[]} */ W) => A.map((row) => W[0].map((_, j) => sum(row.map((x, i) => x * W[i][j]))));
  const transposed = (/** @type {Row[]} */ W) => W[0].map((_, j) => W.map((row) => row[j]));
  let A = matrix(examples);
  const weights = [], slopes = /** @type {Row[][]} */ ([]), forward = [size(A)];
  for (let layer = 0; layer < layers; layer++) {
    weights.push(matrix(width).map((row) => row.map((x) => (x * gain) / Math.sqrt(width))));
    const Z = product(A, weights[layer]);
    slopes.push(Z.map((row) => row.map(slope)));
    A = Z.map((row) => row.map(value));
    forward.push(size(A));
  }
  let G = matrix(examples);
  const backward = [size(G)];
  for (let layer = layers - 1; layer >= 0; layer--) {
    const dZ = G.map((row, r) => row.map((g, c) => g * slopes[layer][r][c]));
    G = product(dZ, transposed(weights[layer]));
    backward.unshift(size(G));
  }
  return { forward, backward };
}
