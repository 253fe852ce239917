// The page "Draw a digit": pen, pictures and bars around the network in digits.js.

import { forward, likeMnist, load, saliency, toGrey } from "./digits.js";

const PEN = 20, STEP = 7;
const loaded = new Map();

document$.subscribe(() => {
  const root = document.querySelector("#live");
  if (root && !root.dataset.ready) start(root);
});

async function start(root) {
  root.dataset.ready = "starting";
  const part = (name) => root.querySelector(`.live-${name}`);
  const canvas = part("canvas"), answer = part("answer"), ink = canvas.getContext("2d", { willReadFrequently: true });
  const url = new URL(root.dataset.weights, document.baseURI).href;
  const bars = Array.from({ length: 10 }, (_, digit) => bar(part("bars"), digit));
  if (!loaded.has(url)) loaded.set(url, Promise.all([load(url), fetch(new URL("examples.json", url)).then((r) => r.json())]));
  let network, examples;
  try {
    [network, examples] = await loaded.get(url);
  } catch (error) {
    loaded.delete(url);
    answer.textContent = `The network could not be loaded (${error.message}). Open the page through a web server, as mkdocs serve is one.`;
    return;
  }

  const update = () => {
    const bytes = likeMnist(toGrey(ink.getImageData(0, 0, canvas.width, canvas.height)));
    const terms = bytes && forward(network, bytes);
    const best = bytes ? terms.probabilities.indexOf(Math.max(...terms.probabilities)) : -1;
    answer.textContent = bytes ? `A ${best}, ${(100 * terms.probabilities[best]).toFixed(1)} % sure.` : "Draw a digit, as large as you like.";
    bars.forEach((set, digit) => set(bytes ? terms.probabilities[digit] : 0, digit === best));
    paint(part("input"), bytes ?? new Uint8Array(784), (v) => [v, v, v], 255);
    paint(part("saliency"), bytes ? saliency(network, terms, best) : new Uint8Array(784), warm);
    paint(part("hidden"), bytes ? terms.A.at(-1) : new Uint8Array(256), warm);
    root.dispatchEvent(new CustomEvent("read", { detail: { bytes, probabilities: terms?.probabilities } }));
  };
  let waiting = false;
  const changed = () => {
    if (!waiting) requestAnimationFrame(() => ((waiting = false), update()));
    waiting = true;
  };

  let example = false; // whether what is shown was put there by us: a first stroke replaces it
  const clear = () => {
    example = false;
    ink.fillStyle = "#000";
    ink.fillRect(0, 0, canvas.width, canvas.height);
    changed();
  };
  const line = (from, to) => {
    if (example) clear();
    Object.assign(ink, { strokeStyle: "#fff", lineWidth: PEN, lineCap: "round" });
    ink.beginPath();
    ink.moveTo(...from);
    ink.lineTo(...to);
    ink.stroke();
    changed();
  };

  // pen, finger and mouse
  let last = null;
  const place = (event) => {
    const frame = canvas.getBoundingClientRect();
    return [((event.clientX - frame.left) * canvas.width) / frame.width, ((event.clientY - frame.top) * canvas.height) / frame.height];
  };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    line((last = place(event)), last);
  });
  canvas.addEventListener("pointermove", (event) => {
    for (const moved of last ? [...(event.getCoalescedEvents?.() ?? []), event] : []) line(last, (last = place(moved)));
  });
  for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => (last = null));

  // keyboard
  let at = [canvas.width / 2, 60], down = false;
  const moves = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] };
  canvas.addEventListener("keydown", (event) => {
    if (event.key in moves) {
      const to = at.map((value, axis) => Math.min(Math.max(value + moves[event.key][axis], PEN), canvas.width - PEN));
      if (down) line(at, to);
      at = to;
    } else if (event.key === " ") {
      down = !down;
      if (down) line(at, at);
    } else if (event.key === "Delete" || event.key === "Backspace") {
      down = false;
      clear();
    } else return;
    event.preventDefault();
    event.stopPropagation();
    canvas.parentElement.style.setProperty("--pen-x", at[0] / canvas.width);
    canvas.parentElement.style.setProperty("--pen-y", at[1] / canvas.height);
    canvas.parentElement.classList.toggle("live-pen-down", down);
  });

  canvas.addEventListener("drawn", changed); // for whoever puts a picture there
  part("clear").addEventListener("click", clear);
  let shown = 0;
  const showAnother = () => {
    const picture = document.createElement("canvas");
    picture.width = picture.height = 28;
    paint(picture, Uint8Array.from(atob(examples[shown++ % examples.length]), (c) => c.charCodeAt(0)), (v) => [v, v, v], 255);
    ink.drawImage(picture, 0, 0, canvas.width, canvas.height);
    example = true;
    changed();
  };
  part("example").addEventListener("click", showAnother);
  showAnother();
  root.dataset.ready = "ready";
}

function bar(parent, digit) {
  const row = parent.appendChild(document.createElement("div"));
  row.innerHTML = `<span>${digit}</span><div><i></i></div><span></span>`;
  return (probability, best) => {
    row.classList.toggle("live-best", best);
    row.querySelector("i").style.width = `${100 * probability}%`;
    row.lastChild.textContent = `${(100 * probability).toFixed(1)} %`;
  };
}

function warm(v) {
  return [Math.min(255, 2.2 * v), Math.max(0, 1.4 * v - 60), Math.max(0, 60 - v / 3)];
}

function paint(canvas, values, colour, most = Math.max(...values) || 1) {
  const context = canvas.getContext("2d"), picture = context.createImageData(canvas.width, canvas.height);
  values.forEach((value, p) => picture.data.set([...colour((255 * value) / most), 255], 4 * p));
  context.putImageData(picture, 0, 0);
}
