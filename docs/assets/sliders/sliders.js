// Sliders beneath a figure: <live-curve of="softmax">. Without JavaScript the figure above is enough.

import { draw } from "../chart.js";
import { make } from "../make.js";
import { kinds } from "./kinds.js";

class LiveCurve extends HTMLElement {
  connectedCallback() {
    if (this.state) return;
    const kind = kinds[this.getAttribute("of") ?? ""];
    /** @type {import("./kinds.js").State} */
    this.state = {};
    this.stage = make("div", { class: "stage" });
    this.says = make("p", { class: "says", role: "status" });
    const controls = make("div", { class: "controls" });
    for (const choice of kind.choices) controls.append(this.choice(choice));
    for (const slider of kind.sliders) controls.append(this.slider(slider));
    this.append(controls, this.stage, this.says);
    this.update = () => this.show(kind.see(this.state));
    this.update();
  }

  /** @param {import("./kinds.js").Slider} told */
  slider({ name, label, min, max, step, value, powers }) {
    const given = { type: "range", min: String(min), max: String(max), step: String(step), value: String(value) };
    const input = /** @type {HTMLInputElement} */ (make("input", given));
    const number = make("output", {});
    const read = () => {
      this.state[name] = powers ? 10 ** Number(input.value) : Number(input.value);
      number.textContent = String(Number(this.state[name].toPrecision(2)));
    };
    input.addEventListener("input", () => (read(), this.update()));
    read();
    return make("label", {}, make("span", {}, `${label} `, number), input);
  }

  /** @param {import("./kinds.js").Choice} told */
  choice({ name, label, options }) {
    const select = /** @type {HTMLSelectElement} */ (make("select", {}, ...options.map((option) => make("option", {}, option))));
    select.addEventListener("change", () => ((this.state[name] = select.value), this.update()));
    this.state[name] = options[0];
    return make("label", { class: "choice" }, `${label} `, select);
  }

  /** @param {ReturnType<import("./kinds.js").Kind["see"]>} seen */
  show({ charts, bars = [], says }) {
    const legends = charts.map(({ lines }) => make("p", { class: "legend" }, ...lines.filter((line) => line.name).map(legend)));
    this.stage.replaceChildren(...charts.flatMap((chart, n) => [draw(chart), legends[n]]), ...bars.map(bar));
    this.says.textContent = says;
  }
}

/** @param {import("../chart.js").Line} line */
function legend({ name = "", color = "", dash = "" }) {
  const sample = make("i", { style: `border-top: 3px ${dash ? (dash.startsWith("2") ? "dotted" : "dashed") : "solid"} ${color}` });
  return make("span", {}, sample, ` ${name}`);
}

/** @param {import("./kinds.js").Bar} told */
function bar({ name, value, from, to }) {
  const zero = (100 * (0 - from)) / (to - from), length = (100 * Math.abs(value)) / (to - from);
  const start = value < 0 ? zero - length : zero;
  const filled = make("i", { style: `left: ${start}%; width: ${length}%`, class: value < 0 ? "below" : "" });
  return make("div", { class: "bar" }, make("span", {}, name), make("div", {}, filled), make("span", {}, value.toFixed(3).replace("-", "−")));
}

if (!customElements.get("live-curve")) customElements.define("live-curve", LiveCurve);
