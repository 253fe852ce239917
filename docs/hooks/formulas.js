// A JSON list of formulas comes in, and one of HTML goes out; of a formula that is refused, the reason.
const katex = require("katex");
const settings = { strict: "error", output: "htmlAndMathml" };
const typeset = ({ tex, display }) => {
  try {
    return { html: katex.renderToString(tex, { ...settings, displayMode: display }) };
  } catch (error) {
    return { refused: error.message };
  }
};
const formulas = JSON.parse(require("fs").readFileSync(0, "utf8"));
process.stdout.write(JSON.stringify(formulas.map(typeset)));
