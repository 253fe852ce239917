// The functions of a network, each with its slope. A test compares them with the package.

/** @typedef {{ value: (z: number) => number, slope: (z: number) => number }} Activation */

/** Written so that no exponent is positive. @type {Record<string, Activation>} */
export const activations = {
  sigmoid: {
    value: (z) => Math.exp(Math.min(z, 0)) / (1 + Math.exp(-Math.abs(z))),
    slope: (z) => Math.exp(-Math.abs(z)) / (1 + Math.exp(-Math.abs(z))) ** 2,
  },
  tanh: {
    value: Math.tanh,
    slope: (z) => (4 * Math.exp(-2 * Math.abs(z))) / (1 + Math.exp(-2 * Math.abs(z))) ** 2,
  },
  relu: { value: (z) => Math.max(z, 0), slope: (z) => (z > 0 ? 1 : 0) },
};

/** The logarithm of the sum of e^z, without a positive exponent. @param {ArrayLike<number>} z */
export function logSumExp(z) {
  const row = Array.from(z), most = Math.max(...row);
  return most + Math.log(row.reduce((sum, x) => sum + Math.exp(x - most), 0));
}

/** Probabilities from logits. @param {ArrayLike<number>} z @returns {number[]} */
export function softmax(z) {
  const row = Array.from(z), most = Math.max(...row), e = row.map((x) => Math.exp(x - most));
  const sum = e.reduce((a, b) => a + b, 0);
  return e.map((x) => x / sum);
}
