// A drawing becomes an image like those of MNIST, as like_mnist in tinygrad_mnist/data/images.py does it, in whole numbers.

/** @typedef {{ data: Uint8Array, width: number, height: number }} Grey */

const SIDE = 28, BOX = 20, MIDDLE = 14;

/**
 * Brightness of RGBA bytes; what is transparent shows paper, white under dark ink, else black.
 * @param {{ data: Uint8Array | Uint8ClampedArray, width: number, height: number }} picture
 * @returns {Grey}
 */
export function toGrey({ data, width, height }) {
  const n = width * height, y = new Int32Array(n);
  let light = 0, opaque = 0;
  for (let p = 0; p < n; p++) {
    const [r, g, b, a] = data.subarray(4 * p, 4 * p + 4);
    y[p] = Math.floor((299 * r + 587 * g + 114 * b + 500) / 1000);
    light += a * y[p];
    opaque += a;
  }
  const paper = light < 128 * opaque ? 255 : 0;
  const grey = Uint8Array.from(y, (value, p) => {
    const a = data[4 * p + 3];
    return Math.floor((a * value + (255 - a) * paper + 127) / 255);
  });
  return { data: grey, width, height };
}

/** 784 bytes from a picture of one digit, or null if all pixels are alike. @param {Grey} grey */
export function likeMnist(grey) {
  const ink = inkOf(grey);
  if (ink === null) return null;
  const whole = box(ink);
  const fits = ink.width === SIDE && ink.height === SIDE && Math.max(whole.width, whole.height) === BOX;
  if (fits && start(ink, "rows") === 0 && start(ink, "columns") === 0) return ink.data;
  const most = ink.data.reduce((a, b) => Math.max(a, b));
  const cut = box({ ...ink, data: ink.data.map((value) => (3 * value < most ? 0 : value)) });
  const digit = scaled(cut);
  const top = Math.min(Math.max(start(digit, "rows"), 0), SIDE - digit.height);
  const left = Math.min(Math.max(start(digit, "columns"), 0), SIDE - digit.width);
  const image = new Uint8Array(SIDE * SIDE);
  for (let i = 0; i < digit.height; i++)
    for (let j = 0; j < digit.width; j++) image[(top + i) * SIDE + left + j] = digit.data[i * digit.width + j];
  return image;
}

/** Ink as brightness, on paper of 0. @param {Grey} grey @returns {Grey | null} */
function inkOf({ data, width, height }) {
  const edge = [];
  for (let i = 0; i < height; i++)
    for (let j = 0; j < width; j++) if (i === 0 || j === 0 || i === height - 1 || j === width - 1) edge.push(data[i * width + j]);
  edge.sort((a, b) => a - b);
  const paper = edge[Math.floor((edge.length - 1) / 2)];
  let darkest = 255, brightest = 0;
  for (const value of data) {
    darkest = Math.min(darkest, value);
    brightest = Math.max(brightest, value);
  }
  if (darkest === brightest) return null;
  const sign = paper - darkest > brightest - paper ? -1 : 1;
  return { data: data.map((value) => Math.max(sign * (value - paper), 0)), width, height };
}

/** The part that has ink. @param {Grey} ink @returns {Grey} */
function box({ data, width, height }) {
  let top = height, bottom = -1, left = width, right = -1;
  for (let i = 0; i < height; i++)
    for (let j = 0; j < width; j++)
      if (data[i * width + j]) {
        top = Math.min(top, i);
        bottom = Math.max(bottom, i);
        left = Math.min(left, j);
        right = Math.max(right, j);
      }
  const rows = bottom - top + 1, columns = right - left + 1;
  const cut = new Uint8Array(rows * columns);
  for (let i = 0; i < rows; i++) cut.set(data.subarray((top + i) * width + left, (top + i) * width + right + 1), i * columns);
  return { data: cut, width: columns, height: rows };
}

/** The longer side becomes 20 pixels. @param {Grey} cut @returns {Grey} */
function scaled({ data, width, height }) {
  const longer = Math.max(width, height);
  const [rows, columns] = [height, width].map((n) => Math.max(1, Math.floor((2 * BOX * n + longer) / (2 * longer))));
  const R = overlaps(rows, height), C = overlaps(columns, width);
  const tall = new Float64Array(rows * width); // R ink
  for (const [i, y, part] of R) for (let x = 0; x < width; x++) tall[i * width + x] += part * data[y * width + x];
  const sums = new Float64Array(rows * columns); // R ink C^T
  for (const [j, x, part] of C) for (let i = 0; i < rows; i++) sums[i * columns + j] += part * tall[i * width + x];
  const strongest = sums.reduce((a, b) => Math.max(a, b));
  const bytes = Uint8Array.from(sums, (sum) => Math.floor((510 * sum + strongest) / (2 * strongest)));
  return { data: bytes, width: columns, height: rows };
}

/** [new, old, how much of the old pixel the new one covers], where it does. @param {number} count @param {number} old */
function overlaps(count, old) {
  const found = [];
  for (let i = 0; i < count; i++)
    for (let y = 0; y < old; y++) {
      const part = Math.min((i + 1) * old, (y + 1) * count) - Math.max(i * old, y * count);
      if (part > 0) found.push([i, y, part]);
    }
  return found;
}

/** Where the image begins so that its centre of mass is in the middle. @param {Grey} image @param {"rows" | "columns"} axis */
function start({ data, width, height }, axis) {
  let total = 0, moment = 0;
  for (let i = 0; i < height; i++)
    for (let j = 0; j < width; j++) {
      total += data[i * width + j];
      moment += data[i * width + j] * (axis === "rows" ? i : j);
    }
  return -Math.floor((2 * moment - (2 * MIDDLE - 1) * total) / (2 * total)) + 0;
}
