// For keyboards and screen readers, what the theme leaves out.
const wide = ".arithmatex, .stage, .output, .md-typeset__scrollwrap, pre > code";
const watch = new ResizeObserver((changes) => {
  for (const change of changes) {
    const target = /** @type {HTMLElement} */ (change.target);
    if (target.scrollWidth > target.clientWidth) target.tabIndex = 0; // so that the arrow keys scroll it
    else target.removeAttribute("tabindex");
  }
});
// The buttons of code appear when it is first seen, in a landmark without a name: it is none.
const release = () => {
  for (const buttons of document.querySelectorAll("nav.md-code__nav:not([role])")) buttons.setAttribute("role", "none");
};
const added = new MutationObserver(release);
document$.subscribe(() => {
  watch.disconnect();
  for (const place of document.querySelectorAll(wide)) watch.observe(place);
  release();
  added.disconnect();
  added.observe(document.querySelector("article"), { childList: true, subtree: true });
});
