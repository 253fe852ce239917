// Runs tasks in the page's Python: one line of JSON in, [folder, [[task, ...given], ...]], one out.
import { readFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";

let text = "";
for await (const part of process.stdin) text += part;
const [folder, tasks] = JSON.parse(text);
const { loadMicroPython } = await import(pathToFileURL(`${folder}/micropython.mjs`).href);
const { interpreter } = await import(pathToFileURL(`${folder}/interpreter.js`).href);
const run = await interpreter(loadMicroPython, (file) => readFile(`${folder}/${file}`, "utf-8"));
console.log(JSON.stringify(tasks.map((task) => JSON.parse(run(...task)))));
