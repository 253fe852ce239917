// The page's side of Python: a worker that is loaded when code is first run, and ended after 2 s.

const LIMIT = 2000;

/** @type {Promise<Worker> | null} */
let started = null;

/** @returns {Promise<Worker>} */
function start() {
  const worker = new Worker(new URL("python/worker.js", import.meta.url), { type: "module" });
  return new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => (data.ready ? resolve(worker) : reject(new Error(data.missing)));
    worker.onerror = () => reject(new Error("Python could not be loaded. Try again with a connection."));
  });
}

/**
 * Run a function of the page's Python.
 * @param {string} task its name
 * @param {...unknown} given its arguments
 * @returns {Promise<any>} what it returns; an Error with a sentence if it did not end or not begin
 */
export async function python(task, ...given) {
  started ??= start();
  let worker;
  try {
    worker = await started;
  } catch (error) {
    started = null;
    throw error;
  }
  return new Promise((resolve, reject) => {
    /** @param {string} sentence */
    const end = (sentence) => {
      worker.terminate();
      started = null;
      reject(new Error(sentence));
    };
    const late = setTimeout(() => end(STOPPED), LIMIT);
    worker.onmessage = ({ data }) => {
      clearTimeout(late);
      if (data.failed) end(EXHAUSTED);
      else resolve(JSON.parse(data.answer));
    };
    worker.postMessage({ task, given });
  });
}

const STOPPED =
  "Your code was stopped after 2 seconds. Is there a loop without an end, or an array that is far too large?";
const EXHAUSTED = "Your code needs more memory than this page has, or has broken its Python. It starts anew.";
