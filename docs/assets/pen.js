// A canvas to draw on, with mouse, finger, pen and keys. White on black, as the digits of MNIST are.

const PEN = 20, STEP = 7;
const MOVES = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] };

export class Pen {
  /**
   * @param {HTMLCanvasElement} canvas the arrow keys move the pen, Space puts it down or lifts it, Delete clears
   * @param {() => void} changed is called when something was drawn, at most once a frame
   */
  constructor(canvas, changed) {
    this.canvas = canvas;
    this.ink = canvas.getContext("2d", { willReadFrequently: true });
    this.example = false; // whether what is shown was put there by us: a first stroke replaces it
    this.waiting = false;
    this.changed = () => {
      if (!this.waiting) requestAnimationFrame(() => ((this.waiting = false), changed()));
      this.waiting = true;
    };
    this.followPointer();
    this.followKeys();
    this.clear();
  }

  clear() {
    this.example = false;
    this.ink.fillStyle = "#000";
    this.ink.fillRect(0, 0, this.canvas.width, this.canvas.height);
    this.changed();
  }

  /** Show 784 bytes; a first stroke replaces them. @param {Uint8Array} bytes */
  put(bytes) {
    const picture = document.createElement("canvas");
    picture.width = picture.height = 28;
    const small = picture.getContext("2d"), pixels = small.createImageData(28, 28);
    bytes.forEach((v, p) => pixels.data.set([v, v, v, 255], 4 * p));
    small.putImageData(pixels, 0, 0);
    this.ink.drawImage(picture, 0, 0, this.canvas.width, this.canvas.height);
    this.example = true;
    this.changed();
  }

  /** What is on the canvas. */
  picture() {
    return this.ink.getImageData(0, 0, this.canvas.width, this.canvas.height);
  }

  /** @param {number[]} from @param {number[]} to */
  line(from, to) {
    if (this.example) this.clear();
    Object.assign(this.ink, { strokeStyle: "#fff", lineWidth: PEN, lineCap: "round" });
    this.ink.beginPath();
    this.ink.moveTo(from[0], from[1]);
    this.ink.lineTo(to[0], to[1]);
    this.ink.stroke();
    this.changed();
  }

  followPointer() {
    const { canvas } = this;
    /** @type {number[] | null} */
    let last = null;
    const place = (/** @type {PointerEvent} */ event) => {
      const frame = canvas.getBoundingClientRect();
      return [((event.clientX - frame.left) * canvas.width) / frame.width, ((event.clientY - frame.top) * canvas.height) / frame.height];
    };
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.line((last = place(event)), last);
    });
    canvas.addEventListener("pointermove", (event) => {
      for (const moved of last ? [...(event.getCoalescedEvents?.() ?? []), event] : []) this.line(last, (last = place(moved)));
    });
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => (last = null));
  }

  followKeys() {
    const { canvas } = this;
    let at = [canvas.width / 2, 60], down = false;
    canvas.addEventListener("keydown", (event) => {
      if (event.key in MOVES) {
        const move = MOVES[/** @type {"ArrowUp"} */ (event.key)];
        const to = at.map((value, axis) => Math.min(Math.max(value + move[axis], PEN), canvas.width - PEN));
        if (down) this.line(at, to);
        at = to;
      } else if (event.key === " ") {
        down = !down;
        if (down) this.line(at, at);
      } else if (event.key === "Delete" || event.key === "Backspace") {
        down = false;
        this.clear();
      } else return;
      event.preventDefault();
      event.stopPropagation();
      canvas.parentElement.style.setProperty("--pen-x", String(at[0] / canvas.width));
      canvas.parentElement.style.setProperty("--pen-y", String(at[1] / canvas.height));
      canvas.parentElement.classList.toggle("live-pen-down", down);
    });
  }
}
