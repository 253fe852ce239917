// A chart as SVG, in the colour and letters of the page around it.

/**
 * @typedef {{ points: number[][], name?: string, color?: string, dash?: string, marks?: boolean, thin?: boolean }} Line
 * @typedef {{ name: string, x: [number, number], y: [number, number], lines: Line[], xlabel?: string, ylabel?: string,
 *   log?: boolean, ticks?: number[] }} Chart
 */

const WIDTH = 420, HEIGHT = 250, LEFT = 46, RIGHT = 12, TOP = 26, BOTTOM = 40;
export const COLORS = { blue: "#2a7fd4", orange: "#d9622b", green: "#2e9e6b" };

/**
 * @param {string} tag @param {Record<string, string | number>} attributes @param {string} [text]
 */
function svg(tag, attributes, text) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  if (text !== undefined) element.textContent = text;
  return element;
}

/**
 * Draw lines over two axes. What leaves the chart is cut off at its edge.
 * @param {Chart} chart
 */
export function draw({ name, x, y, lines, xlabel = "", ylabel = "", log = false, ticks }) {
  const scale = log ? Math.log10 : (/** @type {number} */ v) => v;
  const across = (/** @type {number} */ v) => LEFT + ((v - x[0]) / (x[1] - x[0])) * (WIDTH - LEFT - RIGHT);
  const up = (/** @type {number} */ v) => HEIGHT - BOTTOM - ((scale(v) - scale(y[0])) / (scale(y[1]) - scale(y[0]))) * (HEIGHT - TOP - BOTTOM);
  const inside = (/** @type {number} */ v) => Math.min(Math.max(v, -1e4), 1e4);
  const picture = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": name });
  const clip = `clip-${Math.random().toString(36).slice(2)}`;
  picture.append(svg("clipPath", { id: clip }));
  picture.lastElementChild?.append(svg("rect", { x: LEFT, y: TOP - 6, width: WIDTH - LEFT - RIGHT + 6, height: HEIGHT - TOP - BOTTOM + 12 }));
  for (const value of ticks ?? steps(y, log)) {
    picture.append(svg("path", { class: "grid", d: `M${LEFT} ${up(value)}H${WIDTH - RIGHT}` }));
    picture.append(svg("text", { x: LEFT - 6, y: up(value) + 4, "text-anchor": "end" }, label(value)));
  }
  for (const value of steps(x, false)) picture.append(svg("text", { x: across(value), y: HEIGHT - BOTTOM + 16, "text-anchor": "middle" }, label(value)));
  picture.append(svg("path", { class: "axis", d: `M${LEFT} ${TOP}V${HEIGHT - BOTTOM}H${WIDTH - RIGHT}` }));
  picture.append(svg("text", { x: (LEFT + WIDTH) / 2, y: HEIGHT - 6, "text-anchor": "middle" }, xlabel));
  picture.append(svg("text", { x: 4, y: 14 }, ylabel));
  const group = svg("g", { "clip-path": `url(#${clip})` });
  for (const { points, color = "currentColor", dash = "", marks, thin } of lines) {
    const seen = points.filter((point) => point.every(Number.isFinite)).map(([a, b]) => [inside(across(a)), inside(up(b))]);
    group.append(svg("polyline", { points: seen.map((p) => p.map((v) => v.toFixed(1)).join()).join(" "), stroke: color, "stroke-dasharray": dash, "stroke-width": thin ? 0.8 : 2 }));
    if (marks) for (const [cx, cy] of seen) group.append(svg("circle", { cx, cy, r: 3, fill: color }));
  }
  picture.append(group);
  return picture;
}

/** Round values along an axis. @param {[number, number]} range @param {boolean} log */
function steps([low, high], log) {
  if (log) {
    const powers = [];
    for (let e = Math.ceil(Math.log10(low)); e <= Math.log10(high); e += Math.ceil((Math.log10(high) - Math.log10(low)) / 5)) powers.push(10 ** e);
    return powers;
  }
  const rough = (high - low) / 5, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= rough) ?? rough;
  const found = [];
  for (let value = Math.ceil(low / step) * step; value <= high + step / 1e6; value += step) found.push(Number(value.toPrecision(12)));
  return found;
}

/** @param {number} value */
const label = (value) => (value !== 0 && (Math.abs(value) >= 1e4 || Math.abs(value) < 1e-3) ? value.toExponential(0) : String(value)).replace("-", "−");
