// What a reader has solved and written: kept in this browser alone, and sent nowhere.

const KEY = "tinygrad_mnist.progress";

/**
 * @typedef {{ solved: Record<string, string>, drafts: Record<string, string> }} Progress
 * solved: the day on which each exercise was solved; drafts: the last text of each editor
 */

/** @returns {Progress} */
export function progress() {
  try {
    const kept = JSON.parse(localStorage.getItem(KEY) ?? "{}");
    return { solved: { ...kept.solved }, drafts: { ...kept.drafts } };
  } catch {
    return { solved: {}, drafts: {} }; // private browsing, or a text that is none of ours
  }
}

/** @param {Progress} kept */
function keep(kept) {
  try {
    localStorage.setItem(KEY, JSON.stringify(kept));
  } catch {
    // full or forbidden: the page works without
  }
}

/** @param {string} name */
export function solve(name) {
  const kept = progress();
  kept.solved[name] ??= new Date().toISOString().slice(0, 10);
  keep(kept);
}

/**
 * @param {string} name
 * @param {string} text
 * @param {string} original what is there without a draft
 */
export function draft(name, text, original) {
  const kept = progress();
  if (text === original) delete kept.drafts[name];
  else kept.drafts[name] = text;
  keep(kept);
}

export function erase() {
  localStorage.removeItem(KEY);
}
