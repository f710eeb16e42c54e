/* The start view: facets, the answer, the table. */

const ORIENT = (row) => (METRICS.get(row.metric).direction === "lower" ? -1 : 1);
const has = (row) => row && row.mean !== null && row.mean !== undefined;
const unique = (values) => [...new Set(values)];

/* Which metric of a family a column shows, and where: the chosen condition and fill, or the first at which it is scored. */
function measureOf(rows, family, shared = []) {
  let scored = rows.filter((row) => row.family === family && has(row));
  if (!scored.length) return null;
  if (shared.length) scored = scored.filter((row) => shared.includes(row.metric));
  const names = DATA.metrics.map((m) => m.name).filter((name) => scored.some((row) => row.metric === name));
  const order = (name) => { const m = METRICS.get(name); return m.ranked && m.headline ? 0 : m.ranked && m.core ? 1 : m.ranked ? 2 : 3; };
  const metric = names.includes(state.pick[family]) ? state.pick[family] : names.slice().sort((a, b) => order(a) - order(b))[0];
  const place = { metric };
  let left = scored.filter((row) => row.metric === metric);
  const wanted = { space: ["audio"], condition: [state.condition, "clean"], fill: [state.fill], target_rule: ["predicted", "true"] };
  for (const [name, preferred] of Object.entries(wanted)) {
    const there = unique(left.map((row) => row[name]));
    place[name] = preferred.find((value) => value !== "" && there.includes(value)) ?? there[0];
    left = left.filter((row) => row[name] === place[name]);
  }
  return place;
}

const inPlace = (place) => (row) => Object.entries(place).every(([name, value]) => row[name] === value);
const placeText = (place) => [place.condition, place.fill && `fill ${place.fill}`, place.target_rule !== "predicted" && `target: ${place.target_rule}`,
  place.space !== "audio" && `space of ${place.space}`].filter(Boolean).join(", ");

async function columnsOf() {
  if (state.columns === "recognisers") {
    const family = state.family || DATA.families[0];
    // recognisers are compared by a metric that all of them have, if there is one
    const boards = await Promise.all(DATA.settings.map((_, number) => rowsOf("board", number)));
    const scored = boards.map((rows) => unique(rows.filter((row) => row.family === family && has(row)).map((row) => row.metric))).filter((names) => names.length);
    const shared = (scored[0] || []).filter((name) => scored.every((names) => names.includes(name)));
    const all = await Promise.all(DATA.settings.map((_, number) => column(number, family, shared)));
    return all.map((c, number) => ({ ...c, key: `s${number}`, title: `${DATA.settings[number].corpus}: ${DATA.settings[number].recogniser}` })).filter((c) => c.place);
  }
  const number = current();
  const families = DATA.families.filter((family) => BARS.includes(family) || family === "sanity");
  families.sort((a, b) => BARS.concat("sanity").indexOf(a) - BARS.concat("sanity").indexOf(b));
  const all = await Promise.all(families.map((family) => column(number, family)));
  const there = all.filter((c) => c.place);
  // a run of other families alone shows those
  const columns = there.length ? there : (await Promise.all(DATA.families.map((family) => column(number, family)))).filter((c) => c.place);
  return columns.map((c) => ({ ...c, key: c.family, title: c.family }));
}

async function column(number, family, shared = []) {
  const board = await rowsOf("board", number);
  const place = measureOf(board, family, shared);
  if (!place) return { number, family, place, rows: new Map(), whole: new Map() };
  const whole = new Map(board.filter(inPlace(place)).map((row) => [row.method, row]));
  let rows = whole;
  const chosen = chosenGroup();
  if (chosen) {
    const [view, group] = chosen;
    const groups = (await rowsOf("groups", number)).filter(inPlace({ ...place, view, group }));
    const plain = { mark: "", group: "", family_rank: null, mismatch: 0, note: "" };
    rows = new Map(groups.map((row) => [row.method, { ...row, ...plain, of_group: group }]));
  }
  return { number, family, place, rows, whole };
}

/* What a cell shows: value with interval, positive is better for differences. */
function shown(row) {
  if (!row) return { value: null };
  const take = { score: ["mean", "low", "high"], energy: ["diff_energy", "diff_energy_low", "diff_energy_high"], random: ["difference", "difference_low", "difference_high"] };
  const [value, low, high] = take[chosenGroup() ? "score" : state.value].map((name) => row[name] ?? null);
  return { value, low, high };
}
const differs = () => state.value !== "score" && !chosenGroup();
const betterSign = (row) => (differs() ? 1 : ORIENT(row));

function visibleMethods(columns) {
  const names = DATA.methods.map((m) => m.name).filter((name) => columns.some((c) => c.whole.has(name)));
  const q = state.q.trim().toLowerCase();
  return names.filter((name) => {
    const method = METHODS.get(name);
    if (q && !name.toLowerCase().includes(q) && !method.family.toLowerCase().includes(q)) return false;
    if (state.show === "methods") return !method.baseline;
    return state.show !== "better" || !method.baseline && columns.some((c) => c.whole.has(name) && c.whole.get(name).mark === "▲");
  });
}

function sortKey(columns) {
  const chosen = columns.find((c) => c.key === state.sort);
  if (state.sort === "method") return (name) => name;
  if (state.sort === "clips" || state.sort === "coverage" || state.sort === "calls") return (name) => facts(columns, name)[state.sort];
  const c = chosen || columns[0];
  return (name) => { const row = c && c.rows.get(name); const { value } = shown(row); return value === null || value === undefined ? null : value * betterSign(row); };
}

/* Best first, or worst first; methods without a value always last; ties by name. */
function sorted(columns, names) {
  const key = sortKey(columns);
  const up = state.sort === "method" || state.sort === "calls" ? state.dir === "best" : state.dir === "worst";
  return names.slice().sort((a, b) => {
    const [x, y] = [key(a), key(b)];
    if (x === null || y === null) return x === y ? (a < b ? -1 : 1) : x === null ? 1 : -1;
    return x === y ? (a < b ? -1 : 1) : (x < y ? -1 : 1) * (up ? 1 : -1);
  });
}

let calls = new Map();
async function readCalls(number) {
  const rows = (await rowsOf("board", number)).filter((row) => row.family === "cost" && METRICS.get(row.metric).unit === "model calls" && has(row));
  calls = new Map(rows.map((row) => [row.method, row.mean]).reverse());
}

function facts(columns, name) {
  const rows = columns.map((c) => c.rows.get(name)).filter(has);
  const clips = rows.map((row) => row.n_clips).filter((n) => n !== null), coverage = rows.map((row) => row.coverage).filter((n) => n !== null);
  return { clips: clips.length ? Math.max(...clips) : null, least: clips.length ? Math.min(...clips) : null,
    coverage: coverage.length ? Math.min(...coverage) : null, calls: calls.has(name) ? calls.get(name) : null };
}

/* -- drawing ------------------------------------------------------------------------------------------------------ */

function span(c) {
  const values = [...c.rows.values()].flatMap((row) => Object.values(shown(row))).filter((v) => v !== null && v !== undefined);
  if (differs()) values.push(0);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  return { at: (value) => (100 * (value - low)) / (high - low || 1) };
}

function bar(c, row, scale) {
  const { value, low, high } = shown(row);
  const drawn = s("svg", { class: "bar", viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" });
  const tick = (at, kind) => drawn.append(s("line", { class: kind, x1: at, x2: at, y1: 0, y2: 10 }));
  for (const baseline of ["random", "energy"]) {
    const other = shown(c.rows.get(baseline)).value;
    if (other !== null && other !== undefined && !differs()) tick(scale.at(other), baseline);
  }
  if (differs()) tick(scale.at(0), "energy");
  if (low !== null && low !== undefined) drawn.append(s("line", { class: "own", x1: scale.at(low), x2: scale.at(high), y1: 5, y2: 5 }));
  const x = scale.at(value);
  drawn.append(s("line", { class: "own", x1: x, x2: x, y1: 1.5, y2: 8.5 }));
  return drawn;
}

function cell(c, name, scale) {
  const row = c.rows.get(name), whole = c.whole.get(name);
  const { value, low, high } = shown(row);
  if (value === null || value === undefined) {
    const why = (whole && whole.note) || (row ? "no score" : "not run here");
    return h("td", { class: "no" }, h("button", { type: "button", class: "cell", onclick: () => openCell(c, name), title: why }, NONE, quiet(` no score: ${why}`)));
  }
  const flag = (whole && !chosenGroup() && whole.n_misses ? "!" : "") + (whole && whole.mismatch ? "≠" : "");
  const marked = row.mark ? h("span", { class: row.mark === "▲" ? "better" : "worse" }, ` ${row.mark}`, quiet(row.mark === "▲" ? " passes the bar" : " worse than random")) : flag ? h("span", { class: "worse" }, ` ${flag}`) : null;
  return h("td", { "data-value": value }, h("button", { type: "button", class: "cell", onclick: () => openCell(c, name) },
    h("span", {}, h("b", {}, differs() ? signed(value) : num(value)), marked, row.group ? h("sup", {}, quiet(", group"), ` ${row.group}`) : null),
    h("span", { class: "rank" }, row.family_rank ? [quiet(", rank "), `#${row.family_rank}`] : ""),
    h("span", { class: "interval" }, quiet(", "), low === null || low === undefined ? "no interval" : `${num(low)} … ${num(high)}`),
    bar(c, row, scale)));
}

/* `low`: the best value is the lowest, so that best first is ascending. */
function head(key, title, sub, help, { numeric = false, low = false } = {}) {
  const active = (state.sort || "") === key;
  const best = state.dir === "best";
  const toggled = () => change({ sort: key, dir: active && best ? "worst" : "best" });
  const direction = active ? (best === low ? "ascending" : "descending") : null;
  return h("th", { scope: "col", "aria-sort": direction, class: numeric ? "num" : null },
    h("button", { type: "button", class: "sort", onclick: toggled }, title),
    help ? h("button", { type: "button", class: "help", "aria-label": `About ${title}`, onclick: help }, "?") : null,
    sub ? h("span", { class: "sub" }, sub) : null);
}

function drawTable(columns) {
  const names = sorted(columns, visibleMethods(columns));
  if (!state.sort && columns.length) state.sort = columns[0].key;
  const scales = columns.map(span);
  const arrow = (c) => (METRICS.get(c.place.metric).ranked ? (METRICS.get(c.place.metric).direction === "lower" ? " ↓" : " ↑") : " (described)");
  const heads = columns.map((c) => head(c.key, c.title, c.place ? [`${METRICS.get(c.place.metric).label}${arrow(c)}`, placeText(c.place)].filter(Boolean).join(" · ") : "no score", c.place ? () => openFamily(c) : null,
    { low: Boolean(c.place) && !differs() && METRICS.get(c.place.metric).direction === "lower" }));
  const rows = names.map((name) => {
    const method = METHODS.get(name), f = facts(columns, name);
    return h("tr", { class: method.baseline ? "baseline" : null, "data-method": name },
      h("th", { scope: "row" }, h("button", { type: "button", class: "name", onclick: () => openMethod(name) }, name), method.signed ? null : h("span", { title: "unsigned: maps hold no negative value" }, "⁺"),
        method.baseline ? h("span", { class: "tag" }, " baseline") : null),
      columns.map((c, i) => cell(c, name, scales[i])),
      h("td", { class: "num", "data-value": f.clips }, f.clips === null ? NONE : f.least === f.clips ? String(f.clips) : `${f.least}–${f.clips}`),
      h("td", { class: "num", "data-value": f.coverage }, f.coverage === null ? NONE : `${Math.round(100 * f.coverage)} %`),
      h("td", { class: "num", "data-value": f.calls }, f.calls === null ? NONE : String(Math.round(f.calls))));
  });
  const setting = DATA.settings[current()];
  const caption = state.columns === "recognisers" ? `Methods by recogniser: ${state.family || DATA.families[0]}` : setting ? `${setting.corpus}, ${setting.recogniser}` : "No scores";
  const key = differs() ? "line at 0" : "dashed tick random, orange tick energy";
  document.getElementById("key").textContent = `95 % intervals, each by itself; marks and p are corrected for all tests of a family; ${key}; ▲ passes the bar (of faithfulness: better than random and than energy, which marks what is loud), ▼ worse than random, ! misses count as the worst, ≠ other fill, not tested; methods that share a letter cannot be told apart; # rank in the family. A number opens its clips.`;
  const table = h("table", { class: "board" },
    h("caption", {}, caption),
    h("thead", {}, h("tr", {}, head("method", "method", null, null, { low: true }), heads, head("clips", "clips", null, null, { numeric: true }),
      head("coverage", "coverage", null, null, { numeric: true }), head("calls", "calls", "of the model", null, { numeric: true, low: true }))),
    h("tbody", {}, rows));
  const focused = document.activeElement && document.activeElement.closest("#table") ? document.activeElement.textContent : null;
  document.getElementById("table").replaceChildren(table);
  if (focused !== null) { const again = [...table.querySelectorAll("button")].find((b) => b.textContent === focused); if (again) again.focus(); }
  const clips = chosenGroup() ? `; clips of ${groupText()} only: described, neither marks nor letters` : "";
  document.getElementById("status").textContent = `${names.length} of ${DATA.methods.length} methods${clips}.`;
}

/* -- the answer --------------------------------------------------------------------------------------------------- */

const BAR_WORDS = new Map([["faithfulness", "beat random and energy"], ["localisation", "beat random and energy"], ["sanity", "pass the stated margin"], ["plausibility", "beat every rule without the recogniser"]]);
const NEEDED = new Map([["faithfulness", ["random", "energy"]], ["localisation", ["random", "energy"]], ["plausibility", ["random", "energy", "loud-quiet"]]]);

/* A p after correction, and what its neighbour, an interval without correction, says of it. */
function correctedP(row, family) {
  if (row.p_bar === null || row.p_bar === undefined) return "";
  const tests = DATA.tested.find(([name]) => name === family), beyond = row.diff_energy_low > 0 && !(row.p_bar < 0.05);
  return `; p ${pText(row.p_bar)}, corrected for ${tests ? tests[1] : "all"} tests of ${family} (Holm)${inSetting(row)}${beyond ? ": not enough for a claim, although the interval, which is of this test alone, excludes 0" : ""}`;
}

/* p over the methods of one setting alone: it shows what the size of the board costs, and decides nothing. */
function inSetting(row) {
  return row.p_setting === null || row.p_setting === undefined ? "" : `, ${pText(row.p_setting)} over the methods of this setting alone (described)`;
}

/* Buttons that open the explanation of a clip, the first one that sounds. */
function hearButton(number, method) {
  const heard = DATA.examples.findIndex((e) => e.setting === number && e.sounds && e.methods.includes(method));
  const seen = heard >= 0 ? heard : DATA.examples.findIndex((e) => e.setting === number && e.methods.includes(method));
  return seen < 0 ? null : h("button", { type: "button", class: "plain small", onclick: () => change({ clip: String(seen), method, open: "" }, true) }, `${heard >= 0 ? "▶ Hear" : "See"} ${method}`);
}

/* Command that measures robustness; names that a shell would read otherwise are left to the reader. */
function shiftCommand(number) {
  const setting = DATA.settings[number] || {}, plain = (name) => (/^[\w][\w.:/-]*$/.test(name || "") ? name : "NAME");
  return `serxai run --preset shift-curves --corpus ${plain(setting.corpus)} --model ${plain((setting.model || "").split("@")[0])} --out RUN`;
}

/* Robustness on an axis: who is ranked, and that energy, which does not look at the recogniser, is robust as well. */
function axisLine(c, metric, title) {
  const rows = [...c.whole.values()].filter(has).sort((a, b) => b.mean - a.mean), own = rows.filter((row) => !METHODS.get(row.method).baseline);
  const ranked = own.filter((row) => row.family_rank).sort((a, b) => a.family_rank - b.family_rank), energy = rows.find((row) => row.method === "energy");
  const said = (row) => [h("b", {}, row.method), ` ${num(row.mean)} ${between(row.low, row.high)}`];
  const order = ranked.length ? ["most robust of the ", h("b", {}, String(ranked.length)), " methods that beat random and energy: ", said(ranked[0])] : [h("span", { class: "no" }, "no ranking (fewer than two methods beat random and energy). "), own.length ? ["Highest: ", said(own[0])] : ""];
  const blind = energy && energy.method !== (own[0] || {}).method ? ["; energy", ` ${num(energy.mean)} ${between(energy.low, energy.high)}: a map that does not look at the recogniser is robust too`] : "";
  return h("li", {}, title, order, blind, ". ");
}

function answerLine(c) {
  const rows = [...c.whole.values()].filter(has);
  const metric = METRICS.get(c.place.metric);
  const title = [h("b", {}, c.title), ` (${[metric.label, placeText(c.place)].filter(Boolean).join(", ")}): `];
  if (metric.axis) return axisLine(c, metric, title);
  if (!metric.ranked) return h("li", {}, title, "described, not ranked", metric.described ? ` (${metric.described})` : "", ". ", c.family === "robustness" ? notMeasured(c.number) : "");
  const own = rows.filter((row) => !METHODS.get(row.method).baseline).sort((a, b) => (b.mean - a.mean) * ORIENT(a));
  const tested = own.filter((row) => row.passes_bar === "yes" || row.passes_bar === "no" || (row.passes_bar === "" && row.beats_random && row.beats_random !== "no claim"));
  const won = own.filter((row) => row.mark === "▲").map((row) => row.method);
  const bar = BAR_WORDS.get(c.family) || "beat random";
  const best = own[0];
  const parts = [];
  if (!tested.length) {
    const speakers = Math.max(0, ...rows.map((row) => row.n_speakers || 0));
    const needed = NEEDED.get(c.family) || ["random"];
    const reasons = needed.filter((name) => !has(c.whole.get(name))).map((name) => `${name}: ${(c.whole.get(name) || {}).note || "not run"}`);
    const why = speakers < 6 ? `${speakers} speakers` : reasons.join("; ") || (best && best.note) || "not tested";
    parts.push(h("span", { class: "no" }, `no claim (${why}). `));
  } else parts.push(h("b", { class: won.length ? "better" : "worse" }, `${won.length || "None"} of ${tested.length}`), ` methods ${bar}${won.length ? ": " : ". "}`, won.length ? h("b", {}, list(won)) : "", won.length ? ". " : "");
  if (best) {
    const gain = best.diff_energy !== null && best.diff_energy !== undefined ? `, ${signed(best.diff_energy)} ${between(best.diff_energy_low, best.diff_energy_high)} over energy` : "";
    const same = best.group ? own.slice(1).filter((row) => [...(row.group || "")].some((letter) => best.group.includes(letter))).map((row) => row.method) : [];
    parts.push("Best: ", h("b", {}, best.method), ` ${num(best.mean)} ${between(best.low, best.high)}${gain}${correctedP(best, c.family)}`, same.length ? `; not told apart from ${list(same, 4)}` : "", ". ");
    parts.push(hearButton(c.number, best.method) || "");
  }
  return h("li", {}, title, parts);
}

/* What measures robustness to shifts, where the run holds nothing to compare. */
const notMeasured = (number) => [h("span", { class: "no" }, "Whether explanations stay the same under shifts was not measured in this run; it is by "), h("code", {}, shiftCommand(number)), "."];

function drawAnswer(columns) {
  const lines = columns.filter((c) => c.place).map(answerLine);
  const families = state.columns === "families", blank = (family) => !columns.some((c) => c.family === family);
  if (families && blank("robustness")) lines.splice(columns.some((c) => c.family === "faithfulness") ? 1 : 0, 0, h("li", {}, h("b", {}, "robustness"), ": ", notMeasured(current())));
  const missing = families ? BARS.filter((family) => family !== "robustness" && blank(family))
    : DATA.settings.filter((_, number) => !columns.some((c) => c.number === number)).map((x) => `${x.corpus}: ${x.recogniser}`);
  if (missing.length) lines.push(h("li", { class: "no" }, `Not shown here: ${missing.join(", ")} (`, h("a", { href: "#h-lost", onclick: jump("h-lost") }, "why"), ")."));
  document.getElementById("answer").replaceChildren(h("ul", {}, lines));
}

/* The address holds choices, so links within the page scroll instead of changing it. */
const jump = (id) => (event) => { event.preventDefault(); document.getElementById(id).scrollIntoView(); };

/* -- facets ------------------------------------------------------------------------------------------------------- */

function select(name, label, options, disabled = false) {
  const entries = options.map((o) => (Array.isArray(o) ? o : [o, o]));
  if (entries.length < 2) return null;
  const control = h("select", { name, disabled, onchange: (event) => change({ [name]: event.target.value }) },
    entries.map(([value, text]) => h("option", { value, selected: state[name] === value }, text)));
  return h("label", {}, label, control);
}

async function drawFacets() {
  const rows = await rowsOf("board", Math.max(0, current()));
  const wide = state.columns === "recognisers";
  const corpora = unique(DATA.settings.map((x) => x.corpus));
  const recognisers = DATA.settings.filter((x) => x.corpus === state.corpus).map((x) => x.recogniser);
  const conditions = unique(rows.map((row) => row.condition)).filter(Boolean), fills = unique(rows.map((row) => row.fill)).filter(Boolean);
  const form = document.getElementById("facets");
  const controls = [
    select("columns", "Columns", DATA.settings.length > 1 ? [["families", "families of metrics"], ["recognisers", "corpora and recognisers"]] : []),
    wide ? select("family", "Family", DATA.families) : null,
    wide ? null : select("corpus", "Corpus", corpora),
    wide ? null : select("recogniser", "Recogniser", recognisers),
    select("condition", "Condition", conditions.length > 1 ? [["", "as recorded first"], ...conditions.map((c) => [c, c])] : []),
    select("fill", "Fill of removed parts", fills.length > 1 ? [["", "first"], ...fills.map((f) => [f, f])] : []),
    ...["emotion", "sex"].map((view) => select(view, view[0].toUpperCase() + view.slice(1), [["", "all"], ...DATA.groups.filter((each) => each[0] === view).map((each) => [each[1], each[1]])])),
    select("value", "Numbers", [["score", "score"], ["energy", "difference to energy"], ["random", "difference to random"]], Boolean(chosenGroup())),
    select("show", "Methods", [["all", "all"], ["better", "above the bar (▲)"], ["methods", "without baselines"]]),
  ].filter(Boolean);
  const search = form.querySelector("input[name=q]") || h("input", { type: "search", name: "q", placeholder: "name or kind", oninput: (event) => change({ q: event.target.value }) });
  if (document.activeElement !== search) search.value = state.q;
  const labelled = search.closest("label") || h("label", {}, "Search methods", search);
  const focused = document.activeElement && form.contains(document.activeElement) ? document.activeElement.name : "";
  for (const child of [...form.children]) if (child !== labelled) child.remove();
  form.prepend(...controls);
  if (!labelled.isConnected) form.append(labelled);
  if (focused && focused !== "q" && form.elements[focused]) form.elements[focused].focus();
}
