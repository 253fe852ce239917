// For keyboards and screen readers, what the theme leaves out.
const wide = ".arithmatex, .output, .md-typeset__scrollwrap, pre > code";
const watch = new ResizeObserver((changes) => {
  for (const { target } of changes) {
    if (target.scrollWidth > target.clientWidth) target.tabIndex = 0; // so that the arrow keys scroll it
    else target.removeAttribute("tabindex");
  }
});
// The buttons of code appear when it is first seen, in a landmark that has no name.
const add = new MutationObserver(() => {
  for (const buttons of document.querySelectorAll("nav.md-code__nav:not([role])")) buttons.role = "group";
});
document$.subscribe(() => {
  watch.disconnect();
  for (const place of document.querySelectorAll(wide)) watch.observe(place);
  add.disconnect();
  add.observe(document.querySelector("article"), { childList: true, subtree: true });
});
