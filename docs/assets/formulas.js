// Typesets the formulas of a page, also of one that was opened without loading the site anew.
document$.subscribe(() => {
  renderMathInElement(document.body, {
    delimiters: [
      { left: "\\[", right: "\\]", display: true },
      { left: "\\(", right: "\\)", display: false },
    ],
  });
  for (const formula of document.querySelectorAll(".formula, .katex-display")) {
    if (formula.scrollWidth > formula.clientWidth) formula.tabIndex = 0; // so that the keyboard can scroll it
  }
});
