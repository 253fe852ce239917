// The settings of a training: their controls, their place in the address, and situations worth seeing.

import { CHOICES, DEFAULTS } from "./training.js";

/** @typedef {import("./training.js").Settings} Settings */

/** Lowest, highest and step of each number; a `power` slides along exponents of that base. */
export const RANGES = {
  lr: { label: "learning rate", min: -3, max: 1.5, step: 0.1, power: 10 },
  momentum: { label: "momentum", min: 0, max: 0.95, step: 0.05, power: 0 },
  batch: { label: "batch size", min: 0, max: 8, step: 1, power: 2 },
};

export const LABELS = {
  activation: { label: "activation", names: { sigmoid: "sigmoid", tanh: "tanh", relu: "ReLU" } },
  init: { label: "first weights", names: { xavier: "Xavier", he: "He", equal: "all equal", large: "deviation 1" } },
  loss: { label: "loss", names: { cross_entropy: "softmax and cross-entropy", mse: "sigmoid and squared error" } },
};

/** Situations, each with what to look at and where it is explained. */
export const SITUATIONS = [
  { name: "A healthy training", settings: {}, says: "Loss falls at once, the images of the weights begin to show strokes.", page: "derivations/network.html" },
  {
    name: "All weights equal", settings: { init: "equal" },
    says: "All 32 units get the same gradient, so they stay copies of one another: 32 units that are one.", page: "derivations/initialisation.html",
  },
  {
    name: "A learning rate thirty times too large", settings: { lr: 9 },
    says: "Each step jumps across the valley, and most ReLU units die on the way.", page: "derivations/optimizers.html",
  },
  {
    name: "Saturated sigmoids", settings: { activation: "sigmoid", init: "large" },
    says: "Most units sit at a flat end. dA1 is there, but hardly anything of it is left in dZ1.", page: "derivations/initialisation.html",
  },
  {
    name: "A squared error that waits", settings: { activation: "sigmoid", init: "large", loss: "mse" },
    says: "Outputs are surely wrong, and their slope is almost 0: the gradient waits.", page: "derivations/squared-error.html",
  },
];

/** The part of an address that says what differs from the defaults. @param {Settings} settings */
export function written(settings) {
  const changed = Object.entries(settings).filter(([name, value]) => value !== DEFAULTS[/** @type {"lr"} */ (name)]);
  return new URLSearchParams(changed.map(([name, value]) => [name, String(value)])).toString();
}

/** Settings from an address; what makes no sense is left at its default. @param {string} text @returns {Settings} */
export function read(text) {
  const settings = { ...DEFAULTS };
  for (const [name, value] of new URLSearchParams(text)) {
    const options = CHOICES[/** @type {"init"} */ (name)], range = RANGES[/** @type {"lr"} */ (name)], number = Number(value);
    if (options?.includes(value)) Object.assign(settings, { [name]: value });
    else if (range && value && Number.isFinite(number)) Object.assign(settings, { [name]: within(number, range) });
    else if (name === "seed" && /^\d{1,6}$/.test(value)) settings.seed = number;
  }
  settings.batch = Math.round(settings.batch);
  return settings;
}

/** @param {number} value @param {typeof RANGES.lr} range */
const within = (value, { min, max, power }) => Math.min(Math.max(value, number(min, power)), number(max, power));

/** The number that a slider stands for. @param {number} place @param {number} power */
export const number = (place, power) => (power ? Number((power ** place).toPrecision(3)) : place);

/** Where a slider stands for a number. @param {number} value @param {number} power */
export const place = (value, power) => (power ? Math.log(value) / Math.log(power) : value);
