// What is seen at each moment of a walk through a graph: no page, no pictures, only what is known when.

/**
 * @typedef {{ shape: number[], numbers?: (number | string)[], most?: number | string, picture?: string }} Numbers
 * @typedef {{ tensor: number, cotangent: number, waiting: number[], text: string, to?: number, arrow?: number,
 *   slope?: number, share?: number, arrived?: number }} Step
 * @typedef {{ name: string, waiting: string, steps: Step[], end: string }} Walk
 * @typedef {{ tensors: { name: string, box: number, value: number }[], forward: { tensor: number, text: string }[],
 *   walks: Walk[], arrays: Numbers[] }} Story
 * @typedef {{ text: string, values: Set<number>, gradients: Map<number, number>, tensor?: number, step?: Step }} Moment
 */

/**
 * How many moments a walk has: the leaves alone, each computed tensor, each step back, the end.
 * @param {Story} story
 * @param {Walk} walk
 */
export const moments = (story, walk) => story.forward.length + walk.steps.length + 2;

/**
 * What is known at a moment, counted from 0. Values and gradients are places in `story.arrays`.
 * @param {Story} story
 * @param {Walk} walk
 * @param {number} at
 * @returns {Moment}
 */
export function moment(story, walk, at) {
  const forward = story.forward.slice(0, at), back = walk.steps.slice(0, Math.max(0, at - story.forward.length));
  const later = new Set(story.forward.slice(at).map((step) => step.tensor));
  const values = new Set(story.tensors.map((_, tensor) => tensor).filter((tensor) => !later.has(tensor)));
  const gradients = new Map();
  for (const step of back) {
    if (step.to === undefined) gradients.set(step.tensor, step.cotangent);
    else gradients.set(step.to, step.arrived);
  }
  const known = { values, gradients };
  if (at === moments(story, walk) - 1) return { ...known, text: walk.end };
  if (back.length) return { ...known, text: back.at(-1).text, tensor: back.at(-1).tensor, step: back.at(-1) };
  if (forward.length) return { ...known, text: forward.at(-1).text, tensor: forward.at(-1).tensor };
  return { ...known, text: "Only what is given is known. Forward, one value after the other is computed." };
}

/**
 * Numbers as a line of text, or of many their shape.
 * @param {Numbers} array
 * @param {number} [most] so many are written out
 */
export function written(array, most = 6) {
  const { shape, numbers } = array;
  if (!numbers || numbers.length > most) return `(${shape.join(", ")}${shape.length === 1 ? "," : ""})`;
  const texts = numbers.map(short);
  return shape.length ? nested(texts, shape) : texts[0];
}

/** @param {string[]} texts @param {number[]} shape @returns {string} */
function nested(texts, shape) {
  const [length, ...rest] = shape, size = rest.reduce((a, b) => a * b, 1);
  const parts = Array.from({ length }, (_, i) =>
    rest.length ? nested(texts.slice(i * size, (i + 1) * size), rest) : texts[i]);
  return `[${parts.join(", ")}]`;
}

/**
 * A number with up to four digits that count, as in 0.01235.
 * @param {number | string} x
 */
export function short(x) {
  const number = Number(x);
  return Number.isFinite(number) ? String(Number(number.toPrecision(4))) : String(x);
}

/**
 * How a matrix becomes pictures: as square images if its rows or its columns are such, or as it is.
 * @param {number[]} shape
 * @returns {{ count: number, rows: number, columns: number, at: (image: number, row: number, column: number) => number }}
 */
export function images(shape) {
  const columns = shape.at(-1) ?? 1, rows = shape.reduce((a, b) => a * b, 1) / columns;
  const side = Math.sqrt(Math.max(rows, columns));
  if (!Number.isInteger(side) || side < 8) return { count: 1, rows, columns, at: (_, r, c) => r * columns + c };
  const across = columns > rows;
  return {
    count: across ? rows : columns, rows: side, columns: side,
    at: (image, r, c) => (across ? image * columns + r * side + c : (r * side + c) * columns + image),
  };
}
