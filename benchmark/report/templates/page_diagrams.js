/* Diagrams below the table, what could not be shown, downloads, and the start. */

const text = (x, y, content, extra) => { const t = s("text", { x, y, ...extra }); t.textContent = content; return t; };
/* Width of a diagram in its own units, which are pixels: narrow screens get narrow drawings, not small print. */
const room = () => Math.max(300, Math.min(520, document.documentElement.clientWidth - 52));
const card = (title, note, ...children) => h("section", { class: "card", "aria-label": title }, h("h3", {}, title), note ? h("p", { class: "soft" }, note) : null, children);

/* Mean of the first column's metric against model calls. */
function costDiagram(c) {
  const points = [...c.rows.values()].filter((row) => has(row) && calls.has(row.method)).map((row) => ({ row, x: Math.log10(1 + calls.get(row.method)) }));
  if (points.length < 2) return null;
  const values = points.flatMap(({ row }) => [row.mean, row.low, row.high]).filter((v) => v !== null && v !== undefined);
  const [low, high] = [Math.min(...values), Math.max(...values)], most = Math.max(...points.map((p) => p.x)) || 1;
  const [W, H, L, B] = [room(), 330, 46, 34], X = (x) => L + 12 + ((W - L - 122) * x) / most, up = ORIENT(points[0].row) > 0;
  const Y = (v) => { const share = (v - low) / (high - low || 1); return 12 + (H - B - 18) * (up ? 1 - share : share); };
  const drawn = s("svg", { class: "diagram", viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": `${c.place.metric} against model calls of one explanation, by method; the numbers are in the table above` });
  drawn.append(s("line", { x1: L, x2: W - 10, y1: H - B, y2: H - B }), s("line", { x1: L, x2: L, y1: 8, y2: H - B }));
  for (const tick of [0, 1, 10, 100, 1000, 10000].filter((t) => Math.log10(1 + t) <= most + 0.05)) drawn.append(text(X(Math.log10(1 + tick)), H - B + 14, String(tick), { "text-anchor": "middle", class: "soft" }));
  for (const v of [low, (low + high) / 2, high]) drawn.append(text(L - 4, Y(v) + 4, num(v), { "text-anchor": "end", class: "soft" }));
  drawn.append(text(L + 6, H - 4, "model calls of one explanation (log)", { class: "soft" }));
  let last = -Infinity;
  const labels = points.slice().sort((a, b) => Y(a.row.mean) - Y(b.row.mean)).map((p) => { last = Math.max(Y(p.row.mean) + 4, last + 12); return [p, last]; });
  // right of the point, or left of it where a long name would leave the drawing
  const labelAt = (at, y, name) => (at + 7 + 7 * name.length > W ? text(at - 7, y, name, { "text-anchor": "end" }) : text(at + 7, y, name, {}));
  for (const [{ row, x }, y] of labels) {
    if (row.low !== null && row.low !== undefined) drawn.append(s("line", { class: "error", x1: X(x), x2: X(x), y1: Y(row.low), y2: Y(row.high) }));
    drawn.append(s("circle", { cx: X(x), cy: Y(row.mean), r: 4 }), labelAt(X(x), y, row.method + (METHODS.get(row.method).baseline ? " *" : "")));
  }
  return card(`Cost against quality: ${c.title}`, `${METRICS.get(c.place.metric).label}, ${placeText(c.place)}; up is better, * baseline.`, drawn);
}

/* Critical-difference diagram: average rank over cells; a bar joins a method with the last it cannot be told from. */
function orderDiagram(order) {
  const n = order.methods.length, rowsH = 17, W = room(), L = Math.min(0.5 * W, 14 + 7 * Math.max(...order.methods.map((name) => name.length))), H = 40 + n * rowsH, most = Math.max(n, 1 + order.critical);
  const X = (rank) => L + ((W - L - 44) * (rank - 1)) / (most - 1 || 1), Y = (i) => 34 + i * rowsH;
  const drawn = s("svg", { class: "diagram", viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": `Average ranks in ${order.family}: ${order.methods.map((m, i) => `${m} ${num(order.ranks[i])}`).join(", ")}; critical difference ${num(order.critical)}` });
  drawn.append(s("line", { x1: X(1), x2: X(1 + order.critical), y1: 14, y2: 14, class: "joined" }), text(X(1), 10, `critical difference ${num(order.critical)}`, { class: "soft" }));
  order.methods.forEach((name, i) => {
    drawn.append(text(L - 8, Y(i) + 4, name, { "text-anchor": "end" }), s("circle", { cx: X(order.ranks[i]), cy: Y(i), r: 4 }), text(X(order.ranks[i]) + 8, Y(i) + 4, num(order.ranks[i]), { class: "soft" }));
    if (order.joined[i] > i) drawn.append(s("line", { class: "joined", x1: X(order.ranks[i]), x2: X(order.ranks[i]), y1: Y(i), y2: Y(order.joined[i]) }));
  });
  const where = order.setting < 0 ? "all corpora and recognisers" : `${DATA.settings[order.setting].corpus}, ${DATA.settings[order.setting].recogniser}`;
  return card(`Average rank: ${order.family}`, `${where}; ${order.cells} cells (metrics, conditions, fills), Nemenyi at 5 %. Cells share clips: this describes how consistent the order is and tests nothing.`, drawn);
}

/* Short name of a condition on the axis of its curve: its strength, whose unit stands in the note. */
function strengthOf(name) {
  const { strength } = CONDITIONS.get(name) || {};
  return strength === null || strength === undefined ? name : String(strength);
}

/* Curves over conditions of one kind, such as noise at several levels, with the clip as recorded first. */
function curves(title, note, series, places) {
  const values = series.flatMap((one) => one.points.map(([, v]) => v)), [low, high] = [Math.min(...values), Math.max(...values)];
  const [W, H, L, B] = [room(), 250, 46, 28], X = (i) => L + 10 + ((W - L - 40) * i) / (places.length - 1 || 1), Y = (v) => 10 + ((H - B - 14) * (high - v)) / (high - low || 1);
  const style = (i) => `c${i % 6} d${Math.floor(i / 6) % 4}`;
  const drawn = s("svg", { class: "diagram", viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": `${title}: ${series.map((one) => `${one.name} ${one.points.map(([i, v]) => `${places[i]} ${num(v)}`).join(", ")}`).join("; ")}` });
  drawn.append(s("line", { x1: L, x2: W - 10, y1: H - B, y2: H - B }), ...places.map((place, i) => text(X(i), H - B + 15, strengthOf(place), { "text-anchor": i ? (i === places.length - 1 ? "end" : "middle") : "start", class: "soft" })), ...unique([low, high]).map((v) => text(L - 4, Y(v) + 4, num(v), { "text-anchor": "end", class: "soft" })));
  series.forEach((one, i) => drawn.append(s("polyline", { class: style(i), points: one.points.map(([at, v]) => `${X(at)},${Y(v)}`).join(" ") })));
  const legend = h("div", { class: "legend" }, series.map((one, i) => h("span", {}, s("svg", { class: "diagram", viewBox: "0 0 26 10", "aria-hidden": "true" }, s("polyline", { class: style(i), points: "0,5 26,5" })), one.name)));
  return card(title, note, drawn, legend);
}

function strengthDiagrams(columns, board) {
  const kinds = unique(DATA.conditions.map((c) => c.kind)).filter(Boolean), out = [];
  for (const kind of kinds) {
    const chain = DATA.conditions.filter((c) => c.kind === kind).map((c) => c.name), unit = CONDITIONS.get(chain[0]).unit;
    for (const c of columns.filter((each) => each.place && each.number === current())) {
      const { condition, ...rest } = c.place, rows = board.filter((row) => has(row) && inPlace(rest)(row));
      const places = ["clean", ...chain].filter((name) => rows.some((row) => row.condition === name));
      if (places.length < 2) continue;
      const methods = unique(rows.map((row) => row.method));
      const series = methods.map((name) => ({ name, points: places.map((p, i) => [i, (rows.find((row) => row.method === name && row.condition === p) || {}).mean]).filter(([, v]) => v !== null && v !== undefined) })).filter((one) => one.points.length > 1);
      if (series.length) out.push(curves(`Strength of ${kind}: ${c.title}`, `${METRICS.get(c.place.metric).label}, mean over clips; strength in ${unit}, weakest first.`, series, places));
    }
    const shift = DATA.strength.filter((row) => row.setting === current() && chain.includes(row.condition));
    const places = chain.filter((name) => shift.some((row) => row.condition === name));
    if (places.length > 1) out.push(curves(`Strength of ${kind}: similarity to the explanation as recorded`, `0: as unlike as other clips, 1: as alike as a repeat; strength in ${unit}, weakest first.`,
      unique(shift.map((row) => row.method)).map((name) => ({ name, points: shift.filter((row) => row.method === name).map((row) => [places.indexOf(row.condition), row.score]).sort((a, b) => a[0] - b[0]) })), places));
  }
  return out;
}

async function drawDiagrams(columns) {
  const board = await rowsOf("board", Math.max(0, current()));
  const cost = columns.filter((c) => c.place && BARS.includes(c.family)).slice(0, 1).map(costDiagram).filter(Boolean);
  const wanted = state.columns === "recognisers" ? -1 : current();
  const ranks = DATA.orders.filter((order) => order.setting === wanted && BARS.concat("sanity").includes(order.family)).map(orderDiagram);
  const all = [...cost, ...ranks, ...strengthDiagrams(columns, board)];
  document.getElementById("diagrams").replaceChildren(...(all.length ? all : [h("p", { class: "soft" }, "Nothing to draw: too few methods, metrics or conditions.")]));
}

function drawRest() {
  const reasons = DATA.failures.length ? grid("Scores that are missing, by reason", ["status", "rows", "reason", "methods", "metrics"], DATA.failures.map((row) => row.map(String))) : h("p", {}, "Every planned score is there.");
  document.getElementById("lost").replaceChildren(h("ul", { class: "plain" }, [...DATA.notes, ...DATA.silent.map((note) => `${note}.`)].map((note) => h("li", {}, note))), reasons);
  const files = DATA.downloads.map(([file, what]) => h("li", {}, h("a", { href: file, download: file.endsWith(".html") ? null : true }, file), ` ${what}`));
  const corpora = DATA.corpora.length ? grid("Corpora", ["corpus", "version", "licence", "citation"], DATA.corpora.map((c) => [c.name, c.version, c.licence, c.citation])) : null;
  const conditions = grid("Conditions", ["condition", "what it is"], DATA.conditions.map((c) => [c.name, c.summary]));
  document.getElementById("more").replaceChildren(h("ul", { class: "plain" }, files), ...[corpora, conditions].filter(Boolean));
  const setting = DATA.settings[current()];
  document.getElementById("about").textContent = setting ? `${setting.recogniser}: ${setting.uar === null ? "recognition unknown" : `unweighted average recall ${num(setting.uar)} on the ${setting.clips} clips explained`}.` : "";
}

/* -- start -------------------------------------------------------------------------------------------------------- */

let turn = 0;
async function update() {
  const mine = ++turn;
  try {
    await Promise.all([drawFacets(), readCalls(Math.max(0, current()))]);
    const columns = await columnsOf();
    if (mine !== turn) return; // a later choice has taken over
    drawTable(columns);
    drawAnswer(columns);
    await drawDiagrams(columns);
    drawRest();
    if (state.clip) await drawClip();
    else if (state.open) await drawCell();
    else if (dialog.open) dialog.close();
  } catch (error) {
    document.getElementById("status").textContent = error.message;
    console.error(error);
  }
  document.body.dataset.drawn = String(mine);
}
document.querySelector(".skip").addEventListener("click", (event) => { jump("table")(event); document.getElementById("table").focus(); });
document.getElementById("facets").addEventListener("submit", (event) => event.preventDefault());
const follow = () => { state = readAddress(); update(); };
window.addEventListener("hashchange", follow);
window.addEventListener("popstate", follow);
if (DATA.settings.length) update();
else document.getElementById("status").textContent = "There are no scores.";
