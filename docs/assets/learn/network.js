// The network with one hidden layer, its backward pass and its step: tinygrad_mnist/byhand/mlp.py, line by line.
// A matrix is a typed array, row by row. The numbers are those of the equations on the page "The whole network".

import { activations, logSumExp, softmax } from "../functions.js";

/**
 * @typedef {Float64Array} Matrix
 * @typedef {{ activation: string, loss: string }} Kind
 * @typedef {{ inputs: number, hidden: number, classes: number, W1: Matrix, b1: Matrix, W2: Matrix, b2: Matrix }} Network
 * @typedef {{ B: number, A0: Matrix, Z1: Matrix, A1: Matrix, Z2: Matrix, A2: Matrix }} Terms
 * @typedef {Record<string, Matrix>} Gradients
 */

export const PARAMETERS = ["W1", "b1", "W2", "b2"];

/**
 * A0, Z1, A1, Z2, A2 of a batch.
 * @param {Network} network @param {Matrix} A0 (B, inputs) @param {Kind} kind
 * @returns {Terms}
 */
export function forward({ inputs, hidden, classes, W1, b1, W2, b2 }, A0, { activation, loss }) {
  const B = A0.length / inputs;
  const Z1 = affine(A0, W1, b1, B, inputs, hidden); // (6.1)
  const A1 = Z1.map(activations[activation].value); // (6.2)
  const Z2 = affine(A1, W2, b2, B, hidden, classes); // (6.1)
  const A2 = loss === "mse" ? Z2.map(activations.sigmoid.value) : rows(Z2, classes, softmax); // (6.3)
  return { B, A0, Z1, A1, Z2, A2 };
}

/**
 * The mean loss of a batch, without a penalty.
 * @param {Terms} terms @param {ArrayLike<number>} labels (B,) @param {Kind} kind
 */
export function lossOf({ B, Z2, A2 }, labels, { loss }) {
  const classes = Z2.length / B;
  let sum = 0;
  for (let n = 0; n < B; n++) {
    if (loss === "mse") {
      for (let c = 0; c < classes; c++) sum += (A2[n * classes + c] - (c === labels[n] ? 1 : 0)) ** 2 / classes; // (6.5)
    } else {
      const row = Z2.subarray(n * classes, (n + 1) * classes);
      sum += logSumExp(row) - row[labels[n]]; // (6.4)
    }
  }
  return sum / B;
}

/**
 * The derivative of the loss with respect to each term and parameter, from the last to the first.
 * @param {Network} network @param {Terms} terms @param {ArrayLike<number>} labels (B,) @param {Kind} kind
 * @returns {Gradients}
 */
export function backward({ inputs, hidden, classes, W2 }, { B, A0, Z1, A1, Z2, A2 }, labels, { activation, loss }) {
  const error = A2.map((p, i) => p - (i % classes === labels[Math.floor(i / classes)] ? 1 : 0)); // A2 - Y
  const dZ2 = loss === "mse"
    ? error.map((e, i) => ((2 * e) / (B * classes)) * activations.sigmoid.slope(Z2[i])) // (6.8), (6.9)
    : error.map((e) => e / B); // (6.7)
  const dA1 = new Float64Array(B * hidden); // dZ2 W2ᵀ, (6.12)
  for (let n = 0; n < B; n++)
    for (let j = 0; j < hidden; j++)
      for (let c = 0; c < classes; c++) dA1[n * hidden + j] += dZ2[n * classes + c] * W2[j * classes + c];
  const dZ1 = dA1.map((g, i) => g * activations[activation].slope(Z1[i])); // (6.13)
  return {
    dZ2, dW2: outer(A1, dZ2, B, hidden, classes), db2: columnSums(dZ2, classes), // (6.10), (6.11)
    dA1, dZ1, dW1: outer(A0, dZ1, B, inputs, hidden), db1: columnSums(dZ1, hidden), // (6.10), (6.11)
  };
}

/**
 * One step of gradient descent with momentum, in place.
 * @param {Network} network @param {Gradients} velocity of each parameter, which is kept @param {Gradients} gradients
 * @param {number} lr @param {number} momentum
 */
export function step(network, velocity, gradients, lr, momentum) {
  for (const name of PARAMETERS) {
    const p = /** @type {Record<string, any>} */ (network)[name], d = gradients[`d${name}`];
    const v = (velocity[name] ??= new Float64Array(p.length));
    for (let i = 0; i < p.length; i++) {
      v[i] = momentum * v[i] + d[i]; // (6.14)
      p[i] -= lr * v[i]; // (6.15)
    }
  }
}

/** AW + b. @param {Matrix} A @param {Matrix} W @param {Matrix} b @param {number} B @param {number} n @param {number} m */
function affine(A, W, b, B, n, m) {
  const Z = new Float64Array(B * m);
  for (let r = 0; r < B; r++) {
    const row = Z.subarray(r * m, (r + 1) * m);
    row.set(b);
    for (let i = 0; i < n; i++) {
      const a = A[r * n + i];
      if (a !== 0) for (let j = 0; j < m; j++) row[j] += a * W[i * m + j]; // most pixels are black
    }
  }
  return Z;
}

/** AᵀdZ. @param {Matrix} A @param {Matrix} dZ @param {number} B @param {number} n @param {number} m */
function outer(A, dZ, B, n, m) {
  const dW = new Float64Array(n * m);
  for (let r = 0; r < B; r++)
    for (let i = 0; i < n; i++) {
      const a = A[r * n + i];
      if (a !== 0) for (let j = 0; j < m; j++) dW[i * m + j] += a * dZ[r * m + j];
    }
  return dW;
}

/** @param {Matrix} dZ @param {number} m */
function columnSums(dZ, m) {
  const sums = new Float64Array(m);
  dZ.forEach((g, i) => (sums[i % m] += g));
  return sums;
}

/** A function of each row. @param {Matrix} Z @param {number} m @param {(row: Matrix) => number[]} f */
function rows(Z, m, f) {
  const found = new Float64Array(Z.length);
  for (let at = 0; at < Z.length; at += m) found.set(f(Z.subarray(at, at + m)), at);
  return found;
}
