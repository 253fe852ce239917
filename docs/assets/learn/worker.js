// The training beside the page: it gets settings and acts, and tells what it sees.

import { Training } from "./training.js";

/** @typedef {import("./training.js").Settings} Settings */

const TURN = 40, EXAMINE = 25; // milliseconds at a stretch, and steps from one examination to the next
/** @type {Training} */
let training;
/** @type {{ train: import("./training.js").Digits, heldOut: import("./training.js").Digits }} */
let digits;
/** @type {{ bytes: Uint8Array, label: number }} */
let shown;
/** @type {{ bytes: Uint8Array, label: number }[]} */
const drawn = []; // the reader's own digits, which stay when the training starts again
let running = false, losses = /** @type {number[]} */ ([]);

/** @type {Record<string, (given: any) => void>} */
const acts = {
  digits: (given) => (digits = given),
  start: (/** @type {Settings} */ settings) => {
    running = false;
    training = new Training(settings, digits.train, digits.heldOut);
    for (const { bytes, label } of drawn) training.add(bytes, label);
    losses = [];
    tell();
  },
  show: (given) => {
    shown = given;
    look();
  },
  step: () => {
    losses.push(training.learn(Float64Array.from(shown.bytes, (byte) => byte / 255), [shown.label]));
    tell();
  },
  add: (given) => {
    drawn.push(given);
    training.add(given.bytes, given.label);
    tell();
  },
  train: () => {
    if (!running) setTimeout(turn);
    running = true;
  },
  pause: () => (running = false),
};

self.onmessage = ({ data: { act, given } }) => acts[act](given);

/** Train for a moment, then listen again. */
function turn() {
  if (!running) return;
  for (const end = performance.now() + TURN; performance.now() < end; ) {
    losses.push(training.next());
    if (training.steps % EXAMINE === 0) {
      tell();
      break;
    }
  }
  setTimeout(turn);
}

function tell() {
  const { loss, accuracy, stuck, norms } = training.examine();
  const trained = losses.length ? losses.reduce((a, b) => a + b) / losses.length : loss;
  losses = [];
  const { steps, epoch, labels } = training;
  self.postMessage({ told: "progress", steps, epoch, examples: labels.length, loss: trained, heldOut: loss, accuracy, stuck, norms, W1: training.network.W1.slice() });
  look();
}

function look() {
  if (shown && training) self.postMessage({ told: "look", ...training.look(shown.bytes, shown.label) });
}
