// "Watch it learn": a digit through the network and back, one step at a time, and a training that runs beside the page.

import { draw } from "../chart.js";
import { likeMnist, toGrey } from "../digits.js";
import { make } from "../make.js";
import { Pen } from "../pen.js";
import { LABELS, number, place, RANGES, read, SITUATIONS, written } from "./settings.js";
import { CHOICES } from "./training.js";

/** @typedef {import("./training.js").Settings} Settings */

const HERE = import.meta.url;
const HIDDEN = { rows: 4, columns: 8 };
const BLUE = [42, 127, 212], ORANGE = [217, 98, 43];
const HELD_OUT = 1000;
const calm = matchMedia("(prefers-reduced-motion: reduce)");

/** What is seen of one digit: name, formula, its equation, and how it is drawn. */
const TERMS = [
  ["A0", "the image", "", "image"],
  ["A1", "= f(A0 W1 + b1)", "6-2", "hidden"],
  ["A2", "the answer", "6-3", "bars"],
  ["dZ2", "from A2 − Y", "6-7", "signedBars"],
  ["dA1", "= dZ2 W2ᵀ", "6-12", "hidden"],
  ["dZ1", "= dA1 ⊙ f′(Z1)", "6-13", "hidden"],
  ["dW1", "= A0ᵀ dZ1", "6-10", "tiles"],
];

/** @param {string} text @param {() => void} act */
function button(text, act) {
  const made = make("button", { type: "button", class: "md-button" }, text);
  made.addEventListener("click", act);
  return made;
}

class WatchItLearn extends HTMLElement {
  async connectedCallback() {
    if (this.worker) return;
    this.settings = read(location.hash.slice(1));
    this.worker = new Worker(new URL("./worker.js", HERE), { type: "module" });
    this.worker.onmessage = ({ data }) => (data.told === "look" ? this.look(data) : this.progress(data));
    const waiting = make("p", { role: "status" }, "Loading five thousand digits…");
    this.replaceChildren(waiting);
    try {
      this.digits = await loaded();
    } catch (error) {
      waiting.textContent = `The digits could not be loaded (${/** @type {Error} */ (error).message}). Open the page through a web server, as mkdocs serve is one.`;
      return;
    }
    this.send("digits", this.digits);
    this.build();
    this.restart();
    this.another();
    this.dataset.ready = "ready";
  }

  disconnectedCallback() {
    this.worker.terminate();
  }

  /** @param {string} act @param {any} [given] */
  send(act, given) {
    this.worker.postMessage({ act, given });
  }

  build() {
    this.canvas = /** @type {HTMLCanvasElement} */ (make("canvas", {
      class: "live-canvas", width: "280", height: "280", tabindex: "0", role: "application",
      "aria-label": "Drawing area. Arrow keys move the pen, Space puts it down or lifts it, Delete clears.",
    }));
    this.answer = make("p", { class: "live-answer", role: "status" });
    this.label = /** @type {HTMLSelectElement} */ (make("select", {}, ...Array.from({ length: 10 }, (_, digit) => make("option", {}, String(digit)))));
    this.label.addEventListener("change", () => this.show());
    this.terms = make("div", { class: "learn-terms" });
    this.running = button("Train", () => this.toggle());
    this.running.classList.add("md-button--primary");
    this.curves = make("div", { class: "learn-curves" });
    this.weights = /** @type {HTMLCanvasElement} */ (make("canvas", { role: "img", "aria-label": "The weights of the 32 hidden units, as images" }));
    this.health = make("p", { class: "learn-health" });
    this.status = make("p", { class: "learn-status", role: "status" });
    this.situation = make("p", { class: "learn-situation" });
    this.controls = make("div", { class: "learn-controls" });
    this.replaceChildren(
      make("div", { class: "live-draw" }, this.canvas,
        make("p", { class: "live-buttons" }, button("Clear", () => this.pen.clear()), button("Another digit", () => this.another())),
        make("label", { class: "learn-label" }, "It is a ", this.label), this.answer),
      this.terms,
      make("div", { class: "learn-do" }, button("One step on this digit", () => this.send("step")), this.running,
        button("Start again", () => this.restart()), button("Add it to the training digits", () => this.add())),
      this.status, this.controls, this.situation, this.curves,
      make("figure", { class: "learn-weights" }, this.weights, make("figcaption", {}, "W1: what each of the 32 hidden units looks for. Blue adds, orange takes away.")),
      this.health,
    );
    this.pen = new Pen(this.canvas, () => this.show());
    this.canvas.addEventListener("drawn", () => this.show()); // for whoever puts a picture there
    this.offer();
  }

  /** The controls, as the settings are. */
  offer() {
    const situations = /** @type {HTMLSelectElement} */ (make("select", { name: "situation" }, make("option", { value: "" }, "Choose a situation"),
      ...SITUATIONS.map(({ name }, n) => make("option", { value: String(n) }, name))));
    situations.addEventListener("change", () => situations.value && this.choose(SITUATIONS[Number(situations.value)]));
    const choices = Object.entries(LABELS).map(([name, { label, names }]) => {
      const select = /** @type {HTMLSelectElement} */ (make("select", { name },
        ...CHOICES[/** @type {"init"} */ (name)].map((value) => make("option", { value }, /** @type {Record<string, string>} */ (names)[value]))));
      select.value = String(this.settings[/** @type {"init"} */ (name)]);
      select.addEventListener("change", () => this.change({ [name]: select.value }));
      return make("label", {}, make("span", {}, label), select);
    });
    const numbers = Object.entries(RANGES).map(([name, { label, min, max, step, power }]) => {
      const value = this.settings[/** @type {"lr"} */ (name)], shown = make("output", {}, String(value));
      const slider = /** @type {HTMLInputElement} */ (make("input", { name, type: "range", min: String(min), max: String(max), step: String(step) }));
      slider.value = String(place(value, power));
      slider.addEventListener("input", () => (shown.textContent = String(number(Number(slider.value), power))));
      slider.addEventListener("change", () => this.change({ [name]: number(Number(slider.value), power) }));
      return make("label", {}, make("span", {}, `${label} `, shown), slider);
    });
    this.controls.replaceChildren(make("label", {}, make("span", {}, "situation"), situations), ...choices, ...numbers);
  }

  /** @param {(typeof SITUATIONS)[number]} situation */
  choose({ name, settings, says, page }) {
    this.settings = { ...read(""), ...settings };
    this.offer();
    const link = make("a", { href: new URL(page, new URL("../../", HERE)).href }, "Why?");
    this.situation.replaceChildren(make("b", {}, `${name}. `), `${says} `, link);
    this.restart();
  }

  /** @param {Partial<Settings>} changed */
  change(changed) {
    Object.assign(this.settings, changed);
    this.situation.replaceChildren();
    this.restart();
  }

  /** New weights; the settings go into the address, so that it can be sent to others. */
  restart() {
    const told = written(this.settings);
    history.replaceState(history.state, "", told ? `#${told}` : location.pathname + location.search);
    this.pause();
    /** @type {{ steps: number, loss: number, heldOut: number, accuracy: number }[]} */
    this.history = [];
    this.send("start", this.settings);
  }

  toggle() {
    if (this.training) return this.pause();
    this.training = true;
    this.running.textContent = "Pause";
    this.send("train");
  }

  pause() {
    this.training = false;
    this.running.textContent = "Train";
    this.send("pause");
  }

  /** Show the next of the held-out digits. */
  another() {
    const n = (this.next = ((this.next ?? -1) + 1) % HELD_OUT), { images, labels } = this.digits.heldOut;
    this.label.value = String(labels[n]);
    this.pen.put(images.subarray(784 * n, 784 * (n + 1)));
  }

  /** Read what is drawn. */
  show() {
    this.bytes = likeMnist(toGrey(this.pen.picture()));
    if (this.bytes) this.send("show", { bytes: this.bytes, label: Number(this.label.value) });
    else this.answer.textContent = "Draw a digit, as large as you like.";
  }

  add() {
    if (this.bytes) this.send("add", { bytes: this.bytes, label: Number(this.label.value) });
  }

  /** One digit, there and back. @param {any} seen */
  look(seen) {
    const p = /** @type {Float64Array} */ (seen.A2), best = p.indexOf(Math.max(...p)), label = Number(this.label.value);
    this.answer.textContent = `A ${best}, with ${(100 * p[best]).toFixed(1)} %. The loss for a ${label} is ${short(seen.loss)}.`;
    this.terms.replaceChildren(...TERMS.map(([name, formula, equation, kind]) => {
      const link = equation ? make("a", { href: `${new URL("../../derivations/network.html", HERE).href}#eq-${equation}` }, `(${equation.replace("-", ".")})`) : "";
      const caption = make("figcaption", {}, make("b", {}, name), ` ${formula} `, link);
      return make("figure", { class: `learn-${kind}` }, picture(kind, seen[name], name), caption);
    }));
    this.dispatchEvent(new CustomEvent("looked", { detail: seen }));
  }

  /** How the training is going. @param {any} told */
  progress(told) {
    this.history.push(told);
    const epoch = told.steps ? `Epoch ${Math.max(told.epoch, 1)}, step ${told.steps}` : "Before the first step";
    this.status.textContent = `${epoch}: ${(100 * told.accuracy).toFixed(1)} % of ${HELD_OUT} held-out digits are read rightly. ${told.examples} digits to learn from.`;
    const relu = this.settings.activation === "relu";
    this.health.textContent = `${relu ? "Dead units" : "Activations at a flat end"}: ${Math.round(100 * told.stuck)} %. `
      + `Size of the gradient: ${short(told.norms[0])} in W1, ${short(told.norms[1])} in W2.`;
    if (!calm.matches || told.steps % 125 === 0 || !this.training) {
      paint(this.weights, told.W1, { rows: 28, columns: 28, count: 32, across: 8 });
      this.plot();
    }
    this.dispatchEvent(new CustomEvent("progress", { detail: told }));
  }

  plot() {
    const last = Math.max(this.history.at(-1).steps, 100), top = Math.max(...this.history.map(({ loss, heldOut }) => Math.max(loss, heldOut)).filter(Number.isFinite), 0.1);
    const line = (/** @type {"loss"} */ of) => this.history.map((told) => [told.steps, told[of]]);
    const x = /** @type {[number, number]} */ ([0, last]);
    this.curves.replaceChildren(
      draw({
        name: "Loss by step, of the batches and of the held-out digits", x, y: [0, Math.min(top, 20)], xlabel: "step", ylabel: "loss: batches (blue), held out (orange, dashed)",
        lines: [{ points: line("loss"), color: "#2a7fd4" }, { points: line(/** @type {any} */ ("heldOut")), color: "#d9622b", dash: "5 4" }],
      }),
      draw({ name: "Accuracy by step", x, y: [0, 1], xlabel: "step", ylabel: "accuracy on held-out digits", lines: [{ points: line(/** @type {any} */ ("accuracy")), color: "#2e9e6b" }] }),
    );
  }
}

/** @type {Promise<{ train: import("./training.js").Digits, heldOut: import("./training.js").Digits }> | undefined} */
let digits;

/** The digits, loaded once: labels, then images, all packed by gzip. */
async function loaded() {
  digits ??= fetch(new URL("../learn-digits.bin", HERE)).then(async (response) => {
    if (!response.ok) throw new Error(`${response.status}`);
    const unpacked = response.body.pipeThrough(new DecompressionStream("gzip"));
    const bytes = new Uint8Array(await new Response(unpacked).arrayBuffer()), count = bytes.length / 785, first = count - HELD_OUT;
    const part = (/** @type {number} */ from, /** @type {number} */ to) => ({ labels: bytes.slice(from, to), images: bytes.slice(count + 784 * from, count + 784 * to) });
    return { train: part(0, first), heldOut: part(first, count) };
  });
  digits.catch(() => {
    digits = undefined; // so that it is asked for again
  });
  return digits;
}

/** @param {number} x */
const short = (x) => (Number.isFinite(x) ? Number(x.toPrecision(3)).toString() : "not a number");

/** @param {string} kind @param {Float64Array} values @param {string} name */
function picture(kind, values, name) {
  if (kind.endsWith("ars")) return bars(values, kind === "bars" ? "p" : "g");
  const canvas = /** @type {HTMLCanvasElement} */ (make("canvas", { role: "img", "aria-label": `${name} as a picture, up to ${short(largest(values))} in size` }));
  if (kind === "image") paint(canvas, values, { rows: 28, columns: 28, ink: true });
  else if (kind === "tiles") paint(canvas, values, { rows: 28, columns: 28, count: 32, across: 8 });
  else paint(canvas, values, HIDDEN);
  return canvas;
}

/** @param {Float64Array} values @param {string} kind */
function bars(values, kind) {
  const most = kind === "p" ? 1 : largest(values) || 1, rows = Array.from(values, (value, digit) => {
    const length = (kind === "p" ? 100 : 50) * Math.abs(value) / most, from = kind === "p" ? 0 : value < 0 ? 50 - length : 50;
    const filled = make("i", { style: `left: ${from}%; width: ${length}%`, class: value < 0 ? "below" : "" });
    return make("div", {}, make("span", {}, String(digit)), make("div", {}, filled), make("span", {}, value.toFixed(2).replace("-", "−")));
  });
  return make("div", { class: "bars" }, ...rows);
}

/** @param {Float64Array} values */
const largest = (values) => values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);

/**
 * Numbers as pixels, blue where positive and orange where negative. Of several images, each is a column of a matrix.
 * @param {HTMLCanvasElement} canvas @param {Float64Array} values
 * @param {{ rows: number, columns: number, count?: number, across?: number, ink?: boolean }} layout
 */
function paint(canvas, values, { rows, columns, count = 1, across = 1, ink = false }) {
  const gap = count > 1 ? 1 : 0, most = largest(values) || 1;
  canvas.width = across * (columns + gap) - gap;
  canvas.height = Math.ceil(count / across) * (rows + gap) - gap;
  const context = canvas.getContext("2d"), pixels = context.createImageData(canvas.width, canvas.height);
  for (let n = 0; n < count; n++)
    for (let r = 0; r < rows; r++)
      for (let c = 0; c < columns; c++) {
        const v = values[(r * columns + c) * count + n], x = (n % across) * (columns + gap) + c, y = Math.floor(n / across) * (rows + gap) + r;
        const color = ink ? [255, 255, 255] : v > 0 ? BLUE : ORANGE;
        pixels.data.set([...color, ink ? 255 * v : 255 * Math.sqrt(Math.abs(v) / most)], 4 * (y * canvas.width + x));
      }
  context.putImageData(pixels, 0, 0);
}

if (!customElements.get("watch-it-learn")) customElements.define("watch-it-learn", WatchItLearn);
