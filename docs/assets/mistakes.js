// Code in the page: "Find my mistake", the editors of exercises and tutorials, and the progress.

import { make } from "./make.js";
import { python } from "./python.js";
import { draft, erase, progress, solve } from "./progress.js";

/**
 * A labelled text area for code, which keeps what is written.
 * @param {() => [string, string]} what its name, by which it is kept, and the code it begins with
 * @param {string} label
 * @returns the area, and two functions: show what is kept, or start anew
 */
function editor(what, label) {
  const area = /** @type {HTMLTextAreaElement} */ (
    make("textarea", { "aria-label": label, spellcheck: "false", autocapitalize: "off", autocomplete: "off", wrap: "off" })
  );
  const put = (/** @type {string} */ text) => {
    if (area.value !== text) area.value = text; // otherwise the cursor would jump to the end
    area.rows = Math.max(3, text.split("\n").length + 1);
  };
  const show = () => put(progress().drafts[what()[0]] ?? what()[1]);
  const anew = () => {
    put(what()[1]);
    draft(what()[0], area.value, area.value);
    area.focus();
  };
  area.addEventListener("input", () => {
    put(area.value);
    draft(what()[0], area.value, what()[1]);
  });
  area.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.ctrlKey && !event.metaKey) indent(area, event);
  });
  show();
  return { area, show, anew };
}

/**
 * Begin a new line as far to the right as this one.
 * @param {HTMLTextAreaElement} area
 * @param {KeyboardEvent} event
 */
function indent(area, event) {
  const line = area.value.slice(0, area.selectionStart).split("\n").at(-1);
  const spaces = (line.match(/^ */)?.[0] ?? "") + (line.trimEnd().endsWith(":") ? "    " : "");
  if (!spaces) return;
  event.preventDefault();
  area.setRangeText(`\n${spaces}`, area.selectionStart, area.selectionEnd, "end");
  area.dispatchEvent(new Event("input"));
}

/**
 * Let a button, and Ctrl with Enter, do something that takes a moment.
 * @param {HTMLElement} button
 * @param {HTMLTextAreaElement} area
 * @param {HTMLElement} result
 * @param {() => Promise<void>} act
 */
function runs(button, area, result, act) {
  const run = async () => {
    if (button.getAttribute("aria-disabled") === "true") return;
    button.setAttribute("aria-disabled", "true");
    result.setAttribute("aria-busy", "true");
    try {
      await act();
    } catch (error) {
      result.replaceChildren(make("p", { class: "verdict error" }, /** @type {Error} */ (error).message));
    }
    button.removeAttribute("aria-disabled");
    result.removeAttribute("aria-busy");
  };
  button.addEventListener("click", run);
  area.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) run();
  });
}

const button = (/** @type {string} */ text, more = "") =>
  make("button", { type: "button", class: `md-button ${more}` }, text);

// ---------------------------------------------------------------- Find my mistake

/**
 * @typedef {{ line: number, name: string, verdict: "right" | "wrong" | "error" | "missing", text: string,
 *   mistakes: string[], equation: string }} Verdict as check.py writes it
 */
const MARKS = { right: "✓", wrong: "✗", error: "!", missing: "…" };
const SPOKEN = { right: "right", wrong: "not right", error: "cannot be judged", missing: "missing" };

class FindMyMistake extends HTMLElement {
  connectedCallback() {
    if (this.querySelector("textarea")) return;
    this.choices = this.querySelectorAll("select");
    this.result = make("div", { class: "verdicts", role: "status" });
    const check = button("Check", "md-button--primary"), reset = button("Start anew");
    const { area, show, anew } = editor(() => [`mistake/${this.network}`, this.opening], "Your backward pass, in Python");
    this.area = area;
    this.append(area, make("p", { class: "buttons" }, check, " ", reset), this.result);
    runs(check, area, this.result, () => this.check());
    const forget = (/** @type {() => void} */ act) => () => (act(), this.result.replaceChildren());
    for (const choice of this.choices) choice.addEventListener("change", forget(show));
    reset.addEventListener("click", forget(anew));
  }

  /** The network, as the names of its file and of its draft. */
  get network() {
    return [...this.choices].map((choice) => choice.value).join("-");
  }

  /** What the editor begins with. */
  get opening() {
    const [layers, , loss] = this.network.split("-");
    const start = loss === "mse" ? `dA${layers} = \n` : "";
    return `# Loss: the mean over B = 7 examples\n${start}dZ${layers} = \ndW${layers} = \n`;
  }

  async check() {
    const answer = await fetch(new URL(`python/${this.network}.json`, import.meta.url));
    if (!answer.ok) throw new Error("The network could not be loaded. Try again with a connection.");
    /** @type {Verdict[]} */
    const verdicts = await python("begin", this.area.value, await answer.text());
    for (const [place, { verdict }] of verdicts.entries()) {
      if (verdict === "wrong") verdicts[place] = await python("explain", place);
    }
    const right = verdicts.filter((v) => v.verdict === "right").length;
    const all = verdicts.filter((v) => v.name).length;
    const complete = verdicts.every((v) => v.verdict === "right");
    if (complete) solve(`mistake/${this.network}`);
    const said = complete ? "All gradients are right." : `${right} of ${all} gradients are right.`;
    const shown = verdicts.filter((v) => v.verdict !== "missing");
    const missing = verdicts.filter((v) => v.verdict === "missing").map((v) => v.name);
    if (missing.length) shown.push({ verdict: "missing", line: 0, name: "", text: `Still to be written: ${missing.join(", ")}.`, mistakes: [], equation: "" });
    this.result.replaceChildren(make("p", {}, said), make("ol", {}, ...shown.map((v) => this.item(v))));
  }

  /**
   * One line's verdict, with the equation to look at and what helps.
   * @param {Verdict} verdict
   */
  item(verdict) {
    const { line, name, text, equation, mistakes } = verdict;
    const where = line ? `Line ${line}${name ? `, ${name}` : ""}: ` : "";
    const item = make(
      "li", { class: `verdict ${verdict.verdict}` },
      make("span", { class: "mark-of-verdict", "aria-hidden": "true" }, MARKS[verdict.verdict]),
      make("span", { class: "spoken" }, `${SPOKEN[verdict.verdict]}. `), make("strong", {}, where), text,
    );
    if (equation && verdict.verdict !== "right") {
      const href = `derivations/network.html#eq-${equation.replace(".", "-")}`;
      item.append(" See ", make("a", { href: new URL(`../${href}`, import.meta.url).href }, `equation (${equation})`), ".");
    }
    for (const mistake of mistakes) {
      const help = document.getElementById(`mistake-${mistake}`)?.querySelector("details");
      if (help) item.append(help.cloneNode(true));
    }
    return item;
  }
}

// ---------------------------------------------------------------- cells and exercises

class TryIt extends HTMLElement {
  connectedCallback() {
    if (this.firstChild) return;
    this.told = JSON.parse(this.dataset.told);
    const open = button(this.told.check ? "Try it here" : "Change and run it", "try-open");
    open.addEventListener("click", () => this.open(open));
    this.append(open);
  }

  /** @param {HTMLElement} opener */
  open(opener) {
    const { id, code, check } = this.told;
    const { area, anew } = editor(() => [id, code], check ? "Your answer, in Python" : "The code of this cell");
    const run = button(check ? "Check" : "Run", "md-button--primary"), reset = button("Start anew");
    const result = make("div", { class: "verdicts", role: "status" });
    opener.replaceWith(area, make("p", { class: "buttons" }, run, " ", reset), result);
    runs(run, area, result, () => (check ? this.grade(area, result) : this.run(area, result)));
    reset.addEventListener("click", () => (anew(), result.replaceChildren()));
    area.focus();
  }

  /** @param {HTMLTextAreaElement} area @param {HTMLElement} result */
  async grade(area, result) {
    const { id, before, check, wanted } = this.told;
    const { right, stopped, sentence, output } = await python("answered", before, area.value, check, wanted);
    if (right) solve(id);
    const [kind, said] = right ? ["right", "✓ Right."] : stopped ? ["error", `! Your code stops. ${sentence}`] : ["wrong", `✗ Not right yet. ${sentence}`];
    result.replaceChildren(...written(output), make("p", { class: `verdict ${kind}` }, said));
  }

  /** @param {HTMLTextAreaElement} area @param {HTMLElement} result */
  async run(area, result) {
    const { output, error, line } = await python("printed", this.told.before, area.value);
    const said = error ? [make("p", { class: "verdict error" }, line ? `Line ${line}: ${error}` : error)] : [];
    result.replaceChildren(...written(output || (error ? "" : "It ran, and printed nothing.")), ...said);
  }
}

/** @param {string} output */
const written = (output) => (output ? [make("pre", { class: "output", tabindex: "0" }, make("code", {}, output))] : []);

// ---------------------------------------------------------------- progress

class MyProgress extends HTMLElement {
  connectedCallback() {
    const kept = progress(), solved = Object.entries(kept.solved).sort(), drafts = Object.keys(kept.drafts);
    const save = button("Save as a file"), remove = button("Erase everything");
    const rows = solved.map(([name, day]) => make("tr", {}, make("td", {}, title(name)), make("td", {}, day)));
    const head = make("tr", {}, make("th", { scope: "col" }, "Solved"), make("th", { scope: "col" }, "On"));
    const list = solved.length ? make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows)) : make("p", {}, "Nothing is solved yet.");
    const texts = make("p", {}, drafts.length === 1 ? "One changed piece of code is kept." : `${drafts.length || "No"} changed pieces of code are kept.`);
    const said = make("p", { role: "status" });
    this.replaceChildren(list, texts, make("p", { class: "buttons" }, save, " ", remove), said);
    save.addEventListener("click", () => {
      const file = new Blob([JSON.stringify(kept, null, 2)], { type: "application/json" });
      const link = /** @type {HTMLAnchorElement} */ (make("a", { href: URL.createObjectURL(file), download: "progress.json" }));
      link.click();
      URL.revokeObjectURL(link.href);
    });
    remove.addEventListener("click", () => {
      if (remove.textContent !== SURE) {
        remove.textContent = SURE;
        return;
      }
      erase();
      this.connectedCallback();
      this.querySelector("[role=status]").textContent = "Everything is erased.";
    });
  }
}

/** The name of what was solved, in words. @param {string} name */
function title(name) {
  const [layers, activation, loss, decay] = name.replace("mistake/", "").split("-");
  if (name.startsWith("mistake/")) return `find my mistake: ${layers} layers, ${activation}, ${loss.replace("_", " ")}, weight decay ${decay}`;
  return name.replace(".", ": ").replaceAll("-", " ");
}

const SURE = "Really erase? Press once more";

customElements.define("find-my-mistake", FindMyMistake);
customElements.define("try-it", TryIt);
customElements.define("my-progress", MyProgress);
