// The player: a slider, keys and buttons, the graph that was drawn, and what is happening in it.

import { images, moment, moments, short, written } from "./steps.js";

/** @typedef {import("./steps.js").Story} Story */

const PACE = 1200; // milliseconds from one moment to the next while it plays
const WIDEST = 6; // so many numbers stand beside each other; of more, a picture
let players = 0;

/**
 * An element with a class, attributes and children.
 * @param {string} tag @param {Record<string, string>} [attributes] @param {(Node | string)[]} children
 */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

class TapePlayer extends HTMLElement {
  connectedCallback() {
    if (this.story) return;
    /** @type {Story} */
    this.story = JSON.parse(this.querySelector("template").content.textContent);
    this.stage = this.querySelector(".stage");
    this.number = players++;
    this.walk = this.story.walks[0];
    this.prepend(this.choice(), this.controls());
    this.says = make("p", { class: "says", role: "status" });
    this.panel = make("div", { class: "panel" });
    this.stage.before(this.says);
    this.stage.after(this.panel);
    this.prepare();
    this.show(0);
  }

  disconnectedCallback() {
    this.pause();
  }

  /** The buttons that choose an order, if there is more than one. */
  choice() {
    const orders = this.story.walks.map((walk, n) => {
      const button = make("input", { type: "radio", name: `order-${this.number}`, value: walk.name });
      if (!n) button.setAttribute("checked", "");
      button.addEventListener("change", () => this.choose(walk));
      return make("label", {}, button, ` ${walk.name}`);
    });
    const group = make("fieldset", { class: "orders" }, make("legend", {}, "The way back"), ...orders);
    group.hidden = orders.length < 2;
    return group;
  }

  controls() {
    const button = (/** @type {string} */ sign, /** @type {string} */ label, /** @type {() => void} */ act) => {
      const made = make("button", { type: "button", ...(sign !== label && { "aria-label": label, title: label }) }, sign);
      made.addEventListener("click", act);
      return made;
    };
    this.slider = /** @type {HTMLInputElement} */ (make("input", { type: "range", min: "0", value: "0", "aria-label": "Moment" }));
    this.slider.addEventListener("input", () => this.go(Number(this.slider.value)));
    this.place = make("span", { class: "place" });
    this.playing = button("Play", "Play", () => (this.timer ? this.pause() : this.play()));
    return make("div", { class: "controls" },
      button("|‹", "To the start", () => this.go(0)), button("‹", "One step back", () => this.go(this.at - 1)), this.playing,
      button("›", "One step on", () => this.go(this.at + 1)), button("›|", "To the end", () => this.go(Infinity)),
      this.slider, this.place);
  }

  /** Find the parts of the drawing, and room for a slope on each arrow. */
  prepare() {
    const svg = this.stage.querySelector("svg");
    this.boxes = this.story.tensors.map(({ box }) => svg.querySelector(`[data-box="${box}"]`));
    this.label = document.createElementNS("http://www.w3.org/2000/svg", "text");
    this.label.setAttribute("class", "slope");
    svg.append(this.label);
  }

  /** @param {import("./steps.js").Walk} walk */
  choose(walk) {
    this.pause();
    const back = this.at > this.story.forward.length;
    this.walk = walk;
    this.show(back ? this.story.forward.length + 1 : this.at);
  }

  play() {
    if (this.at === moments(this.story, this.walk) - 1) this.show(0);
    this.timer = setInterval(() => this.show(this.at + 1), PACE);
    this.playing.textContent = "Pause";
  }

  pause() {
    clearInterval(this.timer);
    this.timer = undefined;
    this.playing.textContent = "Play";
  }

  /** @param {number} at */
  go(at) {
    this.pause();
    this.show(at);
  }

  /** @param {number} at */
  show(at) {
    const last = moments(this.story, this.walk) - 1;
    this.at = Math.max(0, Math.min(at, last));
    if (this.at === last && this.timer) this.pause();
    const seen = (this.moment = moment(this.story, this.walk, this.at));
    this.slider.max = String(last);
    this.slider.value = String(this.at);
    this.place.textContent = `${this.at} of ${last}`;
    this.says.textContent = seen.text;
    this.mark(seen);
    this.explain(seen);
    this.dispatchEvent(new CustomEvent("moment", { detail: seen, bubbles: true }));
  }

  /** Fill in the boxes, and light what is at work. @param {import("./steps.js").Moment} seen */
  mark(seen) {
    const { tensors, arrays } = this.story, step = seen.step;
    this.boxes.forEach((box, n) => {
      const [, value, gradient] = box.querySelectorAll("text");
      if (value) value.textContent = seen.values.has(n) ? written(arrays[tensors[n].value]) : "";
      const place = seen.gradients.get(n);
      if (gradient) gradient.textContent = place === undefined ? "" : `grad ${written(arrays[place])}`;
      box.classList.toggle("now", n === seen.tensor);
      box.classList.toggle("next", n === step?.to);
      box.classList.toggle("later", !seen.values.has(n));
    });
    for (const arrow of this.stage.querySelectorAll("[data-arrow]")) {
      arrow.classList.toggle("now", Number(arrow.getAttribute("data-arrow")) === step?.arrow);
    }
    const path = /** @type {SVGPathElement | null} */ (this.stage.querySelector(`path[data-arrow="${step?.arrow}"]`));
    this.label.textContent = path && step.slope !== undefined ? `× ${written(arrays[step.slope])}` : "";
    if (!path) return;
    const middle = path.getPointAtLength(path.getTotalLength() / 2);
    this.label.setAttribute("x", String(middle.x + 6));
    this.label.setAttribute("y", String(middle.y + 4));
  }

  /** The numbers of the moment, large, and who is waiting. @param {import("./steps.js").Moment} seen */
  explain(seen) {
    const { tensors, arrays } = this.story, step = seen.step, name = (/** @type {number} */ n) => tensors[n].name;
    const figure = (/** @type {number} */ place, /** @type {string} */ caption) =>
      make("figure", {}, picture(arrays[place]), make("figcaption", {}, caption));
    const parts = [];
    if (step?.to !== undefined) {
      parts.push(figure(step.cotangent, `cotangent of ${name(step.tensor)}`));
      if (step.slope !== undefined) parts.push(make("b", {}, "×"), figure(step.slope, "local slope"));
      parts.push(make("b", {}, step.slope === undefined ? "→" : "="), figure(step.share, `share of ${name(step.to)}`));
      if (step.arrived !== step.share) parts.push(make("b", {}, "so far"), figure(step.arrived, `cotangent of ${name(step.to)}`));
    } else if (seen.tensor !== undefined) {
      parts.push(step ? figure(step.cotangent, `cotangent of ${name(seen.tensor)}`) : figure(tensors[seen.tensor].value, name(seen.tensor)));
    }
    const still = seen.tensor === undefined ? "The numbers of each step appear here." : "";
    const queue = step ? `${this.walk.waiting}: ${step.waiting.map(name).join(", ") || "nobody"}.` : still;
    this.panel.replaceChildren(make("div", { class: "numbers" }, ...parts), make("p", { class: "waiting" }, queue));
  }
}

/** A matrix of few numbers. @param {import("./steps.js").Numbers} array */
function table({ shape: [rows, columns], numbers }) {
  const row = (/** @type {number} */ r) => numbers.slice(r * columns, (r + 1) * columns).map((x) => make("td", {}, short(x)));
  return make("table", { class: "matrix" }, ...Array.from({ length: rows }, (_, r) => make("tr", {}, ...row(r))));
}

/**
 * An array to look at: as text, as a picture from orange over nothing to blue, or as its shape.
 * @param {import("./steps.js").Numbers} array
 */
function picture(array) {
  const { shape, numbers, picture: bytes } = array;
  if (numbers && (shape.at(-1) ?? 1) <= WIDEST) return shape.length === 2 ? table(array) : make("code", {}, written(array, Infinity));
  if (!numbers && !bytes) return make("code", {}, written(array));
  const values = numbers ? numbers.map(Number) : Array.from(Int8Array.from(atob(bytes), (c) => c.charCodeAt(0)));
  const most = values.reduce((largest, v) => Math.max(largest, Math.abs(v)), 0) || 1, size = numbers ? most : Number(array.most);
  const { count, rows, columns, at } = images(array.shape);
  const across = Math.min(count, Math.max(1, Math.floor(280 / (columns + 1)))), down = Math.ceil(count / across);
  const canvas = /** @type {HTMLCanvasElement} */ (make("canvas", {
    role: "img", "aria-label": `${count === 1 ? "A picture" : `${count} images`} of ${written({ shape })} numbers, at most ${short(size)} in size`,
  }));
  canvas.width = across * (columns + 1) - 1;
  canvas.height = down * (rows + 1) - 1;
  canvas.style.width = `${canvas.width * (canvas.width < 30 ? 8 : canvas.width < 90 ? 3 : 1)}px`;
  const ink = canvas.getContext("2d"), pixels = ink.createImageData(canvas.width, canvas.height);
  for (let n = 0; n < count; n++)
    for (let r = 0; r < rows; r++)
      for (let c = 0; c < columns; c++) {
        const x = (n % across) * (columns + 1) + c, y = Math.floor(n / across) * (rows + 1) + r;
        const v = values[at(n, r, c)] / most, color = v > 0 ? [42, 127, 212] : [217, 98, 43];
        pixels.data.set([...color, Math.round(255 * Math.abs(v))], 4 * (y * canvas.width + x));
      }
  ink.putImageData(pixels, 0, 0);
  return make("div", {}, canvas, make("small", {}, `${written({ shape })}, up to ${short(size)}`));
}

if (!customElements.get("tape-player")) customElements.define("tape-player", TapePlayer);
