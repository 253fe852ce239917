// Pages read line by line: what belongs to a line lights up with it, and arrow keys move on.

document$.subscribe(() => {
  const lines = /** @type {HTMLElement[]} */ ([...document.querySelectorAll(".reader .line")]);
  const named = /** @type {HTMLElement[]} */ ([...document.querySelectorAll("[data-line]")]);
  const light = (/** @type {string[]} */ names) => {
    for (const part of named) part.classList.toggle("lit", part.dataset.line.split(" ").some((name) => names.includes(name)));
  };
  for (const part of named) {
    const names = part.dataset.line.split(" ").filter(Boolean);
    for (const event of ["pointerenter", "focusin"]) part.addEventListener(event, () => light(names));
    for (const event of ["pointerleave", "focusout"]) part.addEventListener(event, () => light([]));
  }
  lines.forEach((line, at) => line.addEventListener("keydown", (event) => {
    const next = lines[at + ({ ArrowDown: 1, ArrowUp: -1 }[event.key] ?? NaN)];
    if (!next) return;
    event.preventDefault();
    /** @type {HTMLElement} */ (next.querySelector(".line-number a")).focus();
  }));
});
