// Loads what moves on a page, if the page has it; what stands there without JavaScript is enough to read.

/** Element -> the name of its module and of its style sheet. @type {Record<string, string>} */
const PARTS = {
  "tape-player": "player/player", "live-curve": "sliders/sliders", "watch-it-learn": "learn/page",
  "find-my-mistake": "mistakes", "try-it": "mistakes", "my-progress": "mistakes",
};

function load() {
  for (const [element, part] of Object.entries(PARTS)) {
    if (!document.querySelector(element) || document.querySelector(`link[data-of="${element}"]`)) continue;
    const style = document.createElement("link");
    style.rel = "stylesheet";
    style.href = new URL(`${part}.css`, import.meta.url).href;
    style.dataset.of = element;
    document.head.append(style);
    import(`./${part}.js`);
  }
}

document$.subscribe(() => {
  load();
  // A link to the page of an element, with data-here: the element comes here instead, in place of a picture.
  for (const link of document.querySelectorAll("a[data-here]")) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      event.stopPropagation();
      const picture = document.querySelector(link.getAttribute("data-in-place-of"));
      picture.replaceChildren(document.createElement(link.getAttribute("data-here")));
      load();
    });
  }
});
