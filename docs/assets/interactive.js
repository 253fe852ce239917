// Loads what moves on a page, if the page has it; what stands there without JavaScript is enough to read.

const PARTS = {
  "tape-player": "player/player", "live-curve": "sliders/sliders",
  "find-my-mistake": "mistakes", "try-it": "mistakes", "my-progress": "mistakes",
};

document$.subscribe(() => {
  for (const [element, part] of Object.entries(PARTS)) {
    if (!document.querySelector(element) || customElements.get(element)) continue;
    const style = document.createElement("link");
    style.rel = "stylesheet";
    style.href = new URL(`${part}.css`, import.meta.url).href;
    document.head.append(style);
    import(`./${part}.js`);
  }
});
