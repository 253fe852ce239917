// Runs a reader's Python apart from the page, which can so end it.

import { loadMicroPython } from "./micropython.mjs";
import { interpreter } from "./interpreter.js";

/** @param {string} file */
const read = async (file) => {
  const answer = await fetch(new URL(file, import.meta.url));
  if (!answer.ok) throw new Error(`${file} could not be loaded`);
  return answer.text();
};
// MicroPython itself reports that memory is used up; the reader gets a sentence instead.
console.error = console.warn = () => {};

try {
  const run = await interpreter(loadMicroPython, read);
  onmessage = ({ data }) => {
    try {
      postMessage({ answer: run(data.task, ...data.given) });
    } catch {
      postMessage({ failed: true });
    }
  };
  postMessage({ ready: true });
} catch (error) {
  postMessage({ missing: String(error) });
}
