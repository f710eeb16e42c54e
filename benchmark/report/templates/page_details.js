/* Dialogs: what a metric or method is, what stands behind a number, one clip with its explanations and sounds. */

const dialog = document.getElementById("dialog");

function show(title, ...children) {
  const close = h("button", { type: "button", class: "plain", onclick: () => dialog.close() }, "Close");
  dialog.replaceChildren(h("div", { class: "bar-top" }, h("h2", { id: "dialog-title" }, title), close), h("div", { class: "body" }, children));
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
  close.focus();
}
dialog.addEventListener("close", () => {
  for (const sound of dialog.querySelectorAll("audio")) sound.pause();
  if (state.open || state.clip) change({ open: "", clip: "", method: "" });
});
dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });

const facet = (pairs) => h("dl", {}, pairs.filter(([, value]) => value !== "" && value !== null && value !== undefined).flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
const grid = (label, header, rows) => h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label },
  h("table", {}, h("caption", {}, label), h("thead", {}, h("tr", {}, header.map((name) => h("th", { scope: "col", class: "text" }, name)))),
    h("tbody", {}, rows.map((row) => h("tr", {}, row.map((entry, i) => (i ? h("td", { class: "text" }, entry) : h("th", { scope: "row" }, entry))))))));

const GRADES = { yes: "qualified", "one fill": "qualified under one fill at a time", no: "failed its qualification", "no verdict": "no verdict", "not applicable": "judges no map" };

/* Help of a column: the metric shown, with source and verdict, and the others of the family, which can take its place. */
async function openFamily(c) {
  const rows = await rowsOf("board", c.number);
  const names = DATA.metrics.filter((m) => m.family === c.family && rows.some((row) => row.metric === m.name && has(row)));
  const metric = METRICS.get(c.place.metric);
  const use = (name) => { dialog.close(); change({ pick: { ...state.pick, [c.family]: name } }); };
  show(`${c.family}: ${metric.axis ? metric.label : metric.name}`, aboutMetric(metric),
    names.length > 1 ? grid(`Metrics of ${c.family}`, ["metric", "what it is", "better", "qualified", "column"], names.map((m) => [m.label, m.summary || NONE, m.ranked ? m.direction : "described", GRADES[m.grade] || m.grade,
      m.name === metric.name ? "shown" : h("button", { type: "button", class: "plain", onclick: () => use(m.name) }, "show")])) : null);
}

const aboutMetric = (m) => facet([["what it is", m.summary], ["better", m.ranked ? m.direction : `described, not ranked. ${m.described || ""}`], ["perfect", m.perfect === null ? "" : num(m.perfect)], ["at random", m.random === null ? "" : num(m.random)],
  ["unit", m.unit], ["scale", m.scale], ["verdict", `${GRADES[m.grade] || m.grade}${m.verdict ? `: ${m.verdict}` : ""}`], ["source", m.citation], ["version", m.version], ["model calls", m.cost]]);

function openMethod(name) {
  const m = METHODS.get(name);
  show(name, facet([["what it is", m.summary], ["kind", m.family], ["needs", m.needs], ["resolution", m.resolution], ["model calls", m.cost], ["source", m.citation], ["version", m.version],
    ["maps", m.signed ? "signed: parts speak for and against the class" : "unsigned: magnitudes alone"]]),
    h("ul", { class: "plain" }, DATA.examples.map((e, i) => [e, i]).filter(([e]) => e.methods.includes(name) && e.setting === current()).map(([e, i]) =>
      h("li", {}, h("button", { type: "button", class: "plain", onclick: () => change({ clip: String(i), method: name, open: "" }, true) }, `${e.sounds ? "▶ hear" : "see"} ${e.clip}`)))));
}

/* -- a number ----------------------------------------------------------------------------------------------------- */

const CELL = ["metric", "space", "target_rule", "condition", "fill"];
const openCell = (c, name) => change({ open: JSON.stringify([c.number, name, ...CELL.map((key) => c.place[key])]), clip: "" }, true);

async function drawCell() {
  let given;
  try { given = JSON.parse(state.open); } catch { return; }
  if (!Array.isArray(given) || !DATA.settings[given[0]]) return;
  const [number, name, ...names] = given, place = Object.fromEntries(CELL.map((key, i) => [key, names[i]]));
  const row = (await rowsOf("board", number)).find((r) => r.method === name && inPlace(place)(r));
  if (!row) return;
  const metric = METRICS.get(row.metric), setting = DATA.settings[number];
  const tested = (value, low, high, p, word) => (value === null || value === undefined ? "" : `${signed(value)} ${between(low, high)}${p === null || p === undefined ? "" : `, p ${pText(p)} (${word})`}; positive is better; the interval is of one test, p of all`);
  const numbers = facet([
    ["score", has(row) ? `${num(row.mean)} ${between(row.low, row.high) || "no interval"}, ${metric.direction} is better` : ""], ["mark", row.mark === "▲" ? "▲ passes the bar" : row.mark === "▼" ? "▼ worse than random" : row.passes_bar === "no claim" ? "no claim" : ""],
    ["over energy", tested(row.diff_energy, row.diff_energy_low, row.diff_energy_high, row.p_bar, `of the bar, corrected for ${(DATA.tested.find(([name]) => name === row.family) || ["", "all"])[1]} tests of ${row.family}, Holm${inSetting(row)}`)], ["over random", tested(row.difference, row.difference_low, row.difference_high, row.p_holm, "corrected for all methods, Holm")],
    ["effect", row.effect === null || row.effect === undefined ? "" : num(row.effect)], ["group", row.group], ["rank", [row.rank && `${row.rank} in the metric`, row.family_rank && `${row.family_rank} in the family`].filter(Boolean).join(", ")],
    ["clips", `${row.n_clips ?? 0}; ${metric.axis ? `${row.n_ok} of ${row.n_planned} comparisons, ${row.n_skipped} with a changed prediction left out` : `${row.n_ok} of ${row.n_planned} scores (${Math.round(100 * row.coverage)} %), ${row.n_failed} failed, ${row.n_skipped} skipped, ${row.n_misses} clips count as the worst`}`],
    ["speakers", `${row.n_speakers ?? NONE}${row.n_sentences ? `, ${row.n_sentences} sentences` : ""}${row.scope ? `; about ${row.scope}` : ""}`],
    ["between models", row.n_models > 1 && row.models_low !== null ? `${num(row.models_low)} … ${num(row.models_high)} over ${row.n_models}` : ""], ["between fills", row.n_fills ? `${num(row.fill_low)} … ${num(row.fill_high)} over ${row.n_fills}` : ""],
    ["explained against", row.explained_against], ["note", row.note]]);
  const groups = h("div", {}), clips = h("div", {}, h("p", { class: "soft" }, "Loading the clips…"));
  show(`${name}: ${metric.axis ? metric.label : metric.name}`, h("p", { class: "soft" }, [`${setting.corpus}, ${setting.recogniser}`, placeText(place)].filter(Boolean).join("; ")), numbers, groups, h("h3", {}, "Clips"), clips, h("h3", {}, "The metric"), aboutMetric(metric));
  rowsOf("groups", number).then((all) => {
    const found = all.filter((r) => r.method === name && inPlace(place)(r) && has(r));
    if (found.length) groups.replaceChildren(grid(`${name} by emotion and sex`, ["clips", "mean", "interval", "less all others", "interval", "n"], found.map((r) => [`${r.view}: ${r.group}`, num(r.mean), between(r.low, r.high) || NONE, signed(r.gap), between(r.gap_low, r.gap_high) || NONE, String(r.n_clips)])));
  }, () => {});
  await drawClips(clips, number, name, place).catch((error) => clips.replaceChildren(h("p", { class: "warn" }, error.message)));
}

async function drawClips(target, number, name, place) {
  const metric = DATA.metrics.findIndex((m) => m.name === place.metric);
  const [facts, chunk] = await Promise.all([rowsOf("clips", number), load(`scores-${number}-${metric}`)]);
  const at = chunk.cells.find((c) => CELL.slice(1).every((key) => c[key] === place[key]));
  if (!at) return target.replaceChildren(h("p", {}, "No clip was scored."));
  const line = (method) => { const i = at.methods.indexOf(method); return i < 0 ? null : at.values[i]; };
  const own = line(name) || [], others = ["random", "energy"].filter((other) => other !== name && line(other));
  const example = new Map(DATA.examples.map((e, i) => [e, i]).filter(([e]) => e.setting === number).map(([e, i]) => [e.clip, [e, i]]));
  const sign = METRICS.get(place.metric).direction === "lower" ? -1 : 1;
  const entries = at.clips.map((clip, i) => ({ ...facts[clip], value: own[i] ?? null, others: others.map((other) => line(other)[i] ?? null) }))
    .filter((e) => ["emotion", "sex"].every((view) => !state[view] || e[view] === state[view]))
    .sort((a, b) => (a.value === null ? 1 : b.value === null ? -1 : (b.value - a.value) * sign) || (a.clip < b.clip ? -1 : 1));
  const open = (clip) => { const found = example.get(clip); return found && found[0].methods.includes(name) ? h("button", { type: "button", class: "plain", onclick: () => change({ clip: String(found[1]), method: name, open: "" }, true) }, found[0].sounds ? "▶ hear" : "see") : ""; };
  const rows = entries.map((e) => [e.clip, num(e.value), ...e.others.map(num), e.emotion, e.predicted || NONE, e.speaker, e.sex || NONE, open(e.clip)]);
  const reasons = (new Map(at.reasons).get(name) || []).map(([reason, n]) => h("li", {}, `${n} clips: ${reason || "no reason given"}`));
  const most = 200, scale = METRICS.get(place.metric).axis ? "Similarities (floor and ceiling not taken off)" : "Scores", table = (n) => grid(`${scale} of ${name} by clip, best first`, ["clip", name, ...others, "emotion", "heard as", "speaker", "sex", "explanation"], rows.slice(0, n));
  const more = rows.length > most ? h("button", { type: "button", class: "plain", onclick: () => target.replaceChildren(table(rows.length)) }, `Show all ${rows.length}`) : null;
  const first = entries.findIndex((e) => example.has(e.clip));
  target.replaceChildren(strip(entries, name), first >= 0 ? h("p", { class: "soft" }, `Explanations of ${example.size} clips, drawn before any score was looked at, can be seen${DATA.examples.some((e) => e.setting === number && e.sounds) ? " and heard" : ""}.`) : "",
    table(most), more || "", reasons.length ? h("div", {}, h("h3", {}, "Without a score"), h("ul", { class: "plain" }, reasons)) : "");
  target.querySelector("table").dataset.clips = String(rows.length);
}

/* All scores as dots, one line an emotion. */
function strip(entries, name) {
  const scored = entries.filter((e) => e.value !== null), emotions = unique(scored.map((e) => e.emotion)).sort();
  if (!scored.length) return h("p", {}, "No clip was scored.");
  const [low, high] = [Math.min(...scored.map((e) => e.value)), Math.max(...scored.map((e) => e.value))];
  const x = (v) => 90 + (500 * (v - low)) / (high - low || 1), height = 24 + 18 * emotions.length;
  const drawn = s("svg", { class: "diagram", viewBox: `0 0 610 ${height}`, role: "img", "aria-label": `Scores of ${name} by emotion from ${num(low)} to ${num(high)}; the table below holds them` });
  emotions.forEach((emotion, i) => {
    const label = s("text", { x: 4, y: 18 * i + 16 });
    label.textContent = emotion;
    drawn.append(label, s("line", { x1: 90, x2: 590, y1: 18 * i + 12, y2: 18 * i + 12, opacity: 0.3 }), ...scored.filter((e) => e.emotion === emotion).map((e) => s("circle", { cx: x(e.value), cy: 18 * i + 12, r: 3.5, opacity: 0.55 })));
  });
  for (const [at, anchor] of [[low, "start"], [high, "end"]]) { const t = s("text", { x: x(at), y: height - 4, "text-anchor": anchor, class: "soft" }); t.textContent = num(at); drawn.append(t); }
  return drawn;
}

/* -- a clip ------------------------------------------------------------------------------------------------------- */

async function drawClip() {
  const number = Number(state.clip), entry = DATA.examples[number];
  if (!entry) return;
  const [chunk, facts] = await Promise.all([load(`example-${number}`), rowsOf("clips", entry.setting)]);
  const clip = facts.find((f) => f.clip === entry.clip) || {}, setting = DATA.settings[entry.setting];
  const method = entry.methods.includes(state.method) ? state.method : entry.methods[0];
  const map = new Map(chunk.maps).get(method);
  const choose = h("select", { onchange: (event) => change({ method: event.target.value }) }, entry.methods.map((name) => h("option", { value: name, selected: name === method }, name)));
  const same = DATA.examples.map((e, i) => [e, i]).filter(([e]) => e.setting === entry.setting);
  const clips = h("select", { onchange: (event) => change({ clip: event.target.value, method }) }, same.map(([e, i]) => h("option", { value: String(i), selected: i === number }, e.clip)));
  const sound = (label, file, text) => h("div", {}, h("p", {}, h("b", {}, label), ` ${text}`), h("audio", { controls: true, preload: "none", src: `assets/${file}`, "aria-label": `${label}: ${entry.clip}, ${method}` }));
  const share = Math.round(100 * chunk.kept_share);
  const sounds = map.sounds ? h("div", { class: "sounds" }, sound("Original", chunk.original, "as recorded"), sound("Kept", map.sounds[0], `the ${share} % most relevant cells`), sound("Removed", map.sounds[1], "all the rest"))
    : h("p", { class: "soft" }, DATA.silent.length ? `${DATA.silent.join("; ")}.` : "No sounds were written for this clip.");
  const again = document.activeElement && dialog.contains(document.activeElement) && document.activeElement.tagName === "SELECT" ? [...dialog.querySelectorAll("select")].indexOf(document.activeElement) : -1;
  show(`${entry.clip}: why ${map.target}?`, h("p", { class: "soft" }, `${setting.corpus}, ${setting.recogniser}. ${[clip.emotion && `Labelled ${clip.emotion}`, clip.predicted && `heard as ${clip.predicted}`, clip.speaker && `speaker ${clip.speaker}`, clip.sex, `${map.duration_s.toFixed(2)} s`].filter(Boolean).join(", ")}.`),
    h("p", {}, h("label", {}, "Method ", choose), "  ", same.length > 1 ? h("label", {}, "Clip ", clips) : null), plane(map, chunk, entry, method), sounds,
    map.sounds ? h("p", { class: "soft" }, "All sounds of this clip have the same root mean square level, those of other methods too.") : null,
    h("p", { class: "soft" }, `Relevance on 16 mel bands x 80 ms, in shares of the largest. ${map.calls} model calls.`));
  if (again >= 0) { const found = dialog.querySelectorAll("select")[again]; if (found) found.focus(); }
}

/* The map over the spectrogram, where there is one; colour by sign, opacity by size. */
function plane(map, chunk, entry, method) {
  const drawn = s("svg", { viewBox: "0 0 1000 400", preserveAspectRatio: "none", "aria-hidden": "true" });
  map.steps.forEach((row, i) => row.forEach((step, j) => {
    if (!step) return;
    const [left, right] = [map.time[j], map.time[j + 1]], [low, high] = [map.freq[i], map.freq[i + 1]];
    const kind = map.unsigned ? "unsigned" : step > 0 ? "for" : "against";
    drawn.append(s("rect", { class: kind, x: 1000 * left, width: 1000 * (right - left), y: 400 * (1 - high), height: 400 * (high - low), "fill-opacity": (0.78 * (Math.abs(step) / map.of) ** 0.8).toFixed(3) }));
  }));
  const what = map.unsigned ? "blue: relevant, for or against (a map without sign)" : `green: for ${map.target}, vermilion: against it`;
  const label = `Relevance for ${map.target} by ${method} over time and frequency of ${entry.clip}; ${what}`;
  const picture = chunk.picture ? h("img", { src: `assets/${chunk.picture}`, alt: "" }) : null;
  return h("figure", {}, h("div", { class: "plane-frame" }, h("div", { class: "y", "aria-hidden": "true" }, ...[[8000, "8 kHz"], [4000, "4"], [2000, "2"], [1000, "1"], [500, ".5"]].map(([hz, text]) => {
      const label = h("span", {}, text);
      label.style.top = `${100 * (1 - Math.log10(1 + hz / 700) / Math.log10(1 + 8000 / 700))}%`;
      return label;
    })),
    h("div", { class: "plane", role: "img", "aria-label": label }, picture, drawn), h("div", { class: "x", "aria-hidden": "true" }, h("span", {}, "0 s"), h("span", {}, `${map.duration_s.toFixed(2)} s`))),
    h("figcaption", {}, `${what[0].toUpperCase()}${what.slice(1)}; the fainter, the less relevant${chunk.picture ? ", over the spectrogram" : ""}.`));
}
