"use strict";
/* Data, elements, the state in the address, and loading of assets. Names enter the document as text nodes only. */
const DATA = JSON.parse(document.getElementById("data").textContent);
const BARS = ["faithfulness", "robustness", "plausibility", "localisation"];
const by = (list) => new Map(list.map((entry) => [entry.name, entry]));
const METRICS = by(DATA.metrics), METHODS = by(DATA.methods), CONDITIONS = by(DATA.conditions);
const NONE = "–";

function h(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/* Text for screen readers alone. */
const quiet = (text) => h("span", { class: "quiet" }, text);

function s(tag, attributes, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes || {})) node.setAttribute(name, value);
  node.append(...children.flat());
  return node;
}

/* Numbers as in the other tables: about three digits, a dash where missing. */
function num(value) {
  if (value === null || value === undefined) return NONE;
  const size = Math.abs(value);
  return value.toFixed(size < 9.995 ? 2 : size < 99.95 ? 1 : 0);
}
const signed = (value) => (value > 0 ? "+" : "") + num(value);
const pText = (p) => (p === null || p === undefined ? NONE : p < 0.001 ? "< .001" : "= " + p.toFixed(3).replace(/^0/, ""));
const between = (low, high) => (low === null || low === undefined ? "" : `[${num(low)}, ${num(high)}]`);
const list = (names, most = 8) => names.slice(0, most).join(", ") + (names.length > most ? ` and ${names.length - most} more` : "");

/* -- tables ------------------------------------------------------------------------------------------------------- */

function unpack(table) {
  const columns = Object.entries(table).map(([name, c]) => {
    if (Array.isArray(c)) return [name, c.length, (i) => c[i]];
    return c.d ? [name, c.c.length, (i) => c.d[c.c[i]]] : [name, c.n, () => c.k];
  });
  const n = columns.length ? columns[0][1] : 0;
  return Array.from({ length: n }, (_, i) => Object.fromEntries(columns.map(([name, , at]) => [name, at(i)])));
}

const chunks = new Map();
window.serxai = (name, data) => chunks.set(name, data);

/* Resolves with the data of an asset; it is a script, since browsers do not let pages on disk fetch files. */
function load(name) {
  if (chunks.has(name)) return Promise.resolve(chunks.get(name));
  return new Promise((resolve, reject) => {
    const script = h("script", { src: `assets/${name}.js` });
    script.onload = () => (script.remove(), chunks.has(name) ? resolve(chunks.get(name)) : reject(new Error(name)));
    script.onerror = () => reject(new Error(`assets/${name}.js is missing: the folder assets must lie beside the page`));
    document.head.append(script);
  });
}

const unpacked = new Map();
async function rowsOf(kind, number) {
  const key = `${kind}-${number}`;
  if (!unpacked.has(key)) {
    const inline = kind === "board" ? DATA.boards[number] : null;
    unpacked.set(key, unpack(inline || (await load(key))));
  }
  return unpacked.get(key);
}

/* -- state: every choice is in the address ------------------------------------------------------------------------ */

const DEFAULTS = {
  corpus: "", recogniser: "", condition: "", fill: "", emotion: "", sex: "", value: "score", show: "all", q: "", sort: "", dir: "best",
  columns: "families", family: "", open: "", clip: "", method: "",
};

function readAddress() {
  const given = new URLSearchParams(location.hash.slice(1));
  const state = { ...DEFAULTS, pick: {} };
  for (const [name, value] of given) {
    if (Object.hasOwn(DEFAULTS, name)) state[name] = value;
    else if (name.startsWith("metric.") && METRICS.has(value)) state.pick[name.slice(7)] = value;
  }
  const one = (name, allowed) => { if (!allowed.includes(state[name])) state[name] = DEFAULTS[name]; };
  one("value", ["score", "energy", "random"]);
  one("show", ["all", "better", "methods"]);
  one("dir", ["best", "worst"]);
  one("columns", DATA.settings.length > 1 ? ["families", "recognisers"] : ["families"]);
  for (const view of ["emotion", "sex"]) one(view, DATA.groups.filter((each) => each[0] === view).map((each) => each[1]));
  one("condition", DATA.conditions.map((c) => c.name));
  one("family", DATA.families);
  const corpora = [...new Set(DATA.settings.map((x) => x.corpus))];
  if (!corpora.includes(state.corpus)) state.corpus = corpora[0] || "";
  const here = DATA.settings.filter((x) => x.corpus === state.corpus).map((x) => x.recogniser);
  if (!here.includes(state.recogniser)) state.recogniser = here[0] || "";
  return state;
}

let state = readAddress();

function address(changes) {
  const next = { ...state, ...changes };
  const out = new URLSearchParams();
  const first = DATA.settings[0] || {};
  for (const name of Object.keys(DEFAULTS)) {
    const usual = name === "corpus" ? first.corpus : name === "recogniser" && next.corpus === first.corpus ? first.recogniser : DEFAULTS[name];
    if (next[name] !== usual) out.set(name, next[name]);
  }
  for (const [family, metric] of Object.entries(next.pick)) out.set(`metric.${family}`, metric);
  return "#" + out.toString();
}

/* Choices replace the address, dialogs add to the history, so that the Back button closes them. */
function change(changes, push = false) {
  const url = address(changes);
  history[push ? "pushState" : "replaceState"](null, "", url);
  state = readAddress();
  return update();
}

/* The chosen group of clips as view and group of the assets "groups", null for all clips. */
function chosenGroup() {
  if (state.emotion && state.sex) return ["emotion and sex", `${state.emotion}, ${state.sex}`];
  return state.emotion ? ["emotion", state.emotion] : state.sex ? ["sex", state.sex] : null;
}
const groupText = () => [state.emotion, state.sex].filter(Boolean).join(", ");

const current = () => DATA.settings.findIndex((x) => x.corpus === state.corpus && x.recogniser === state.recogniser);
