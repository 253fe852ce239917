// What is wider than its place can be scrolled with the keyboard, also after the window was narrowed.
const scrolled = ".formula, .arithmatex, .output, .md-typeset__scrollwrap, pre > code";
const watch = new ResizeObserver((changes) => {
  for (const { target } of changes) {
    if (target.scrollWidth > target.clientWidth) target.tabIndex = 0;
    else target.removeAttribute("tabindex");
  }
});
document$.subscribe(() => {
  watch.disconnect();
  for (const place of document.querySelectorAll(scrolled)) watch.observe(place);
});
