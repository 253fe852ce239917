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
  // The player tells each moment of its walk: the line that computes it lights up, and is shown beside the player.
  const place = /** @type {HTMLElement | null} */ (document.querySelector(".reader.follows"));
  place?.parentElement.addEventListener("moment", (event) => {
    const { detail: { tensor, step }, target } = /** @type {any} */ (event);
    const of = step?.to ?? tensor, name = of === undefined ? "" : `${step ? "d" : ""}${target.story.tensors[of].name}`;
    const line = document.getElementById(`line-${name}`);
    light([name].filter(Boolean)); // where nothing is computed yet, nothing stands out
    place.replaceChildren(...(line ? [line.cloneNode(true)] : []));
    for (const part of place.querySelectorAll("[id]")) part.removeAttribute("id");
    place.hidden = false;
  });
  lines.forEach((line, at) => line.addEventListener("keydown", (event) => {
    const next = lines[at + ({ ArrowDown: 1, ArrowUp: -1 }[event.key] ?? NaN)];
    if (!next) return;
    event.preventDefault();
    /** @type {HTMLElement} */ (next.querySelector(".line-number a")).focus();
  }));
});
