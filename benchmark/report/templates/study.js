"use strict";
/* One listening study: consent, trials and sounds in an order of this listener's own, answers as a file. */
const DATA = JSON.parse(document.getElementById("data").textContent);
const main = document.getElementById("main");
const bytes = crypto.getRandomValues(new Uint8Array(8));
const listener = [...bytes].map((b) => b.toString(16).padStart(2, "0")).join("");
const answers = [];

function h(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat());
  return node;
}

function shuffled(list) {
  const out = list.slice();
  for (let i = out.length - 1; i > 0; i--) {
    const j = Math.floor((crypto.getRandomValues(new Uint32Array(1))[0] / 2 ** 32) * (i + 1));
    [out[i], out[j]] = [out[j], out[i]];
  }
  return out;
}

const trials = shuffled(DATA.trials);
const agree = document.getElementById("agree"), start = document.getElementById("start");
agree.addEventListener("change", () => { start.disabled = !agree.checked; });
start.addEventListener("click", () => trial(0));

function trial(number) {
  if (number === trials.length) return finish();
  const t = trials[number], sounds = shuffled(t.sounds), began = Date.now();
  const question = t.check ? `This is a check of attention: choose sound ${sounds.indexOf(t.check) + 1}.` : `In which sound do you hear ${t.target} best?`;
  const next = h("button", { type: "submit", disabled: true }, number + 1 === trials.length ? "Finish" : "Next");
  const choices = sounds.map((sound, i) => h("div", {},
    h("p", {}, h("label", {}, h("input", { type: "radio", name: "choice", value: sound, onchange: () => { next.disabled = false; } }), ` Sound ${i + 1}`)),
    h("audio", { controls: true, preload: "auto", src: `assets/${sound}.flac`, "aria-label": `Sound ${i + 1}` })));
  const heading = h("h2", { tabindex: "-1" }, `${number + 1} of ${trials.length}`);
  const form = h("form", { onsubmit: (event) => {
    event.preventDefault();
    answers.push([DATA.study, listener, t.trial, form.elements.choice.value, ((Date.now() - began) / 1000).toFixed(1)]);
    trial(number + 1);
  } }, h("fieldset", {}, h("legend", {}, question), h("div", { class: "sounds" }, choices)), h("p", {}, next));
  main.replaceChildren(heading, form);
  heading.focus();
}

function finish() {
  const text = [["study", "listener", "trial", "sound", "seconds"], ...answers].map((row) => row.join(",")).join("\n") + "\n";
  const link = h("a", { id: "save", href: URL.createObjectURL(new Blob([text], { type: "text/csv" })), download: `answers-${DATA.study}-${listener}.csv` }, "Save your answers");
  const heading = h("h2", { tabindex: "-1" }, "Thank you");
  main.replaceChildren(heading, h("p", {}, link, " and pass the file on to those who asked you."), h("details", {}, h("summary", {}, "Show the file"), h("pre", { id: "file", tabindex: "0" }, text)));
  heading.focus();
}
window.addEventListener("beforeunload", (event) => { if (answers.length && answers.length < trials.length) event.preventDefault(); });
