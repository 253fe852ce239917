// A training on real digits: how weights begin, batches in a new order each epoch, and how the network is doing.

import { activations } from "../functions.js";
import { normal, uniform } from "../random.js";
import { backward, forward, lossOf, PARAMETERS, step } from "./network.js";

/**
 * @typedef {import("./network.js").Network} Network
 * @typedef {{ lr: number, activation: string, init: string, loss: string, momentum: number, batch: number, seed: number }} Settings
 * @typedef {{ images: Uint8Array, labels: Uint8Array }} Digits
 * @typedef {{ lossOfBatch: number[], heldOut: number[][], epoch: number, steps: number }} History
 */

const INPUTS = 784, HIDDEN = 32, CLASSES = 10;

/** @type {Settings} */
export const DEFAULTS = { lr: 0.3, activation: "relu", init: "xavier", loss: "cross_entropy", momentum: 0, batch: 32, seed: 1 };

export const CHOICES = {
  activation: ["sigmoid", "tanh", "relu"],
  init: ["xavier", "he", "equal", "large"],
  loss: ["cross_entropy", "mse"],
};

/** @param {Settings} settings @returns {Network} */
export function fresh({ init, seed }) {
  const layer = (/** @type {number} */ n, /** @type {number} */ m, /** @type {number} */ which) => {
    const draw = init === "large" ? normal(2 * seed + which) : uniform(2 * seed + which);
    const bound = { xavier: Math.sqrt(6 / (n + m)), he: Math.sqrt(6 / n) }[init];
    return Float64Array.from({ length: n * m }, () => (init === "equal" ? 0.05 : init === "large" ? draw() : bound * (2 * draw() - 1)));
  };
  return {
    inputs: INPUTS, hidden: HIDDEN, classes: CLASSES,
    W1: layer(INPUTS, HIDDEN, 0), b1: new Float64Array(HIDDEN), W2: layer(HIDDEN, CLASSES, 1), b2: new Float64Array(CLASSES),
  };
}

/** Pixels from 0 to 1. @param {Uint8Array} bytes */
export const pixels = (bytes) => Float64Array.from(bytes, (byte) => byte / 255);

export class Training {
  /** @param {Settings} settings @param {Digits} digits @param {Digits} heldOut */
  constructor(settings, digits, heldOut) {
    this.settings = settings;
    this.network = fresh(settings);
    /** @type {Record<string, Float64Array>} */
    this.velocity = {};
    /** @type {Float64Array[]} */
    this.images = [];
    /** @type {number[]} */
    this.labels = [];
    for (let n = 0; n < digits.labels.length; n++) this.add(digits.images.subarray(n * INPUTS, (n + 1) * INPUTS), digits.labels[n]);
    this.heldOut = { X: pixels(heldOut.images), labels: heldOut.labels };
    this.draw = uniform(settings.seed + 1000);
    /** @type {number[]} */
    this.order = [];
    this.epoch = this.steps = 0;
    /** @type {Record<string, Float64Array>} */
    this.gradients = {};
  }

  /** One more training example. @param {Uint8Array} bytes @param {number} label */
  add(bytes, label) {
    this.images.push(pixels(bytes));
    this.labels.push(label);
  }

  /** A step along the gradient of the next batch; returns the loss of that batch before it. */
  next() {
    if (!this.order.length) {
      this.order = this.shuffled();
      this.epoch += 1;
    }
    const rows = this.order.splice(0, this.settings.batch), X = new Float64Array(rows.length * INPUTS);
    rows.forEach((row, n) => X.set(this.images[row], n * INPUTS));
    return this.learn(X, rows.map((row) => this.labels[row]));
  }

  /** A step along the gradient of these examples; returns their loss before it. @param {Float64Array} X @param {number[]} labels */
  learn(X, labels) {
    const terms = forward(this.network, X, this.settings), loss = lossOf(terms, labels, this.settings);
    this.gradients = backward(this.network, terms, labels, this.settings);
    step(this.network, this.velocity, this.gradients, this.settings.lr, this.settings.momentum);
    this.steps += 1;
    return loss;
  }

  shuffled() {
    const order = this.labels.map((_, n) => n);
    for (let n = order.length - 1; n > 0; n--) {
      const other = Math.floor(this.draw() * (n + 1));
      [order[n], order[other]] = [order[other], order[n]];
    }
    return order;
  }

  /** What the network makes of one image. @param {Uint8Array} bytes @param {number} label */
  look(bytes, label) {
    const terms = forward(this.network, pixels(bytes), this.settings);
    return { ...terms, loss: lossOf(terms, [label], this.settings), ...backward(this.network, terms, [label], this.settings) };
  }

  /** Loss and accuracy on the held-out digits, and how the hidden units are doing there. */
  examine() {
    const { X, labels } = this.heldOut, terms = forward(this.network, X, this.settings);
    let right = 0;
    for (let n = 0; n < labels.length; n++) {
      const row = terms.A2.subarray(n * CLASSES, (n + 1) * CLASSES);
      right += Number(row.indexOf(Math.max(...row)) === labels[n]);
    }
    const norms = PARAMETERS.filter((name) => name[0] === "W").map((name) => norm(this.gradients[`d${name}`] ?? new Float64Array()));
    return { loss: lossOf(terms, labels, this.settings), accuracy: right / labels.length, stuck: this.stuck(terms.Z1), norms };
  }

  /**
   * Of ReLU, the share of units that are dead: 0 for every image. Of the others, the share of activations at a flat
   * end, where less than a fiftieth of the highest slope is left.
   * @param {Float64Array} Z1
   */
  stuck(Z1) {
    if (this.settings.activation === "relu") {
      const alive = new Set();
      Z1.forEach((z, i) => z > 0 && alive.add(i % HIDDEN));
      return 1 - alive.size / HIDDEN;
    }
    const { slope } = activations[this.settings.activation];
    return Z1.filter((z) => slope(z) < slope(0) / 50).length / Z1.length;
  }
}

/** @param {Float64Array} values */
const norm = (values) => Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));
