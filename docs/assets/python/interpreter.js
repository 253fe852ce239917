// Python in the page: MicroPython with the few files that judge a reader's code.

const FILES = [
  "arrays.py", "functions.py", "words.py", "assignments.py", "check.py", "exercise.py",
  "tinygrad_mnist/bridge/mistakes.py", "tinygrad_mnist/bridge/diagnosis.py",
];
/** What the files import for the type checker only. */
const STAND_INS = { "typing.py": "TYPE_CHECKING = False\n", "__future__.py": "annotations = None\n" };
const MOST_MEMORY = 64 * 2 ** 20;

/**
 * Start an interpreter.
 * @param {(options: object) => Promise<any>} loadMicroPython from micropython.mjs
 * @param {(file: string) => Promise<string>} read the text of a file of this folder
 * @returns {Promise<(task: string, ...given: unknown[]) => string>} runs a function of `PREPARE`
 */
export async function interpreter(loadMicroPython, read) {
  limitMemory();
  const python = await loadMicroPython({ heapsize: 2 ** 22, stdout: () => {}, stderr: () => {} });
  for (const folder of ["/lib", "/lib/tinygrad_mnist", "/lib/tinygrad_mnist/bridge"]) python.FS.mkdir(folder);
  const texts = await Promise.all(FILES.map(read));
  FILES.forEach((file, n) => python.FS.writeFile(`/lib/${file}`, texts[n]));
  for (const [file, text] of Object.entries(STAND_INS)) python.FS.writeFile(`/lib/${file}`, text);
  python.runPython(PREPARE);
  return (task, ...given) => {
    python.globals.set("given", JSON.stringify(given));
    python.runPython(`answer = json.dumps(${task}(*json.loads(given)))`);
    return python.globals.get("answer");
  };
}

const PREPARE = `
import json, sys, functions
sys.modules["numpy"] = functions
from check import Problem, begun, check
from exercise import answered, printed

def judge(source, problem):
    return check(source, Problem(json.loads(problem)))

def begin(source, problem):
    global kept
    kept = begun(source, Problem(json.loads(problem)))
    return kept.verdicts

def explain(place):
    return kept.explain(place)
`;

/** Let no program take more memory than a page may. */
function limitMemory() {
  const grow = WebAssembly.Memory.prototype.grow;
  /** @param {number} pages */
  WebAssembly.Memory.prototype.grow = function (pages) {
    if (this.buffer.byteLength + pages * 2 ** 16 > MOST_MEMORY) throw new RangeError("too large");
    return grow.call(this, pages);
  };
}
