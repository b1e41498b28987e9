// The page: what its controls do.

import {Detail} from "./detail.js";
import {Gallery} from "./gallery.js";
import {MapView} from "./map.js";
import {ask, byId, complain, element} from "./server.js";

const state = await ask("state");
const gallery = new Gallery(state, (place) => detail.open(gallery.cells[place]));
const map = new MapView((region) => select(region));
const detail = new Detail(gallery, {similar: (row, among) => similar(row, among)});
let shown = null;  // the selection in the gallery

const option = (value, text = value, attributes = {}) => element("option", {value, ...attributes}, text);
const format = (number) => number.toLocaleString("en");

// -- maps and colours ------------------------------------------------------------------------------

function fillMaps() {
  const groups = {cells: "Cells", proteins: "Proteins"};
  byId("map-choice").replaceChildren(...Object.entries(groups).map(([kind, title]) => element("optgroup", {label: title},
    ...state.maps.filter((each) => each.kind === kind).map((each) => option(each.key, `${each.kind}, ${each.set}: ${each.title}`)))));
  byId("feature-set").replaceChildren(...state.sets.map((name) => option(name, name, {selected: name === state.feature_set})));
}

function fillColours() {
  if (!state.trained && ["predicted", "uncertainty"].includes(map.colour)) map.colour = "label";
  const chosen = map.colour;
  const first = [option("density", "density"), option("label", "label")];
  if (state.trained) first.push(option("predicted", "predicted label"), option("uncertainty", "uncertainty"));
  byId("colour").replaceChildren(...first, element("optgroup", {label: "columns"},
    ...state.columns.filter(({name}) => name !== "image_id").map(({name}) => option(`column:${name}`, name))));
  byId("colour").value = chosen;
}

byId("map-choice").addEventListener("change", async (event) => {
  const known = state.maps.find((each) => each.key === event.target.value);
  if (state.sets.includes(known.set)) byId("feature-set").value = known.set;
  await map.show(event.target.value);
});

async function recolour(colour = map.colour) {
  map.colour = colour;
  byId("colour").value = colour;
  map.later();
  await map.legend();
}

byId("colour").addEventListener("change", (event) => recolour(event.target.value));

// -- filter ----------------------------------------------------------------------------------------

const literal = (value) => `'${value.replaceAll("'", "''")}'`;
const identifier = (name) => (/^[a-z_][a-z0-9_]*$/.test(name) ? name : `"${name.replaceAll('"', '""')}"`);
const TEXTS = ["=", "≠", "contains", "is empty"], NUMBERS = ["=", "≠", "<", "≤", ">", "≥", "is empty"];
const SQL = {"≠": "<>", "≤": "<=", "≥": ">="};

byId("filter-column").replaceChildren(...state.columns.map(({name}) => option(name)));
byId("filter-column").addEventListener("change", () => column());

async function column() {
  const name = byId("filter-column").value, {number} = state.columns.find((each) => each.name === name);
  byId("filter-operator").replaceChildren(...(number ? NUMBERS : TEXTS).map((each) => option(each)));
  byId("filter-value").value = "";
  const values = number ? [] : (await ask("values", {column: name})).values;
  byId("filter-values").replaceChildren(...values.map((value) => option(value)));
}

function clause() {
  const name = byId("filter-column").value, operator = byId("filter-operator").value;
  const value = byId("filter-value").value.trim(), {number} = state.columns.find((each) => each.name === name);
  const left = name === "localization" ? "array_to_string(localization, ', ')" : identifier(name);
  if (operator === "is empty") return number ? `${left} IS NULL` : `coalesce(${left}, '') = ''`;
  if (number) return value && Number.isFinite(Number(value)) ? `${left} ${SQL[operator] ?? operator} ${Number(value)}` : null;
  if (operator === "contains") return `contains(lower(${left}), ${literal(value.toLowerCase())})`;
  return `${left} ${SQL[operator] ?? operator} ${literal(value)}`;
}

byId("filter-add").addEventListener("click", () => {
  const added = clause();
  if (added === null) return complain("Enter a number to compare with.");
  const before = byId("condition").value.trim();
  byId("condition").value = before ? `${before} AND ${added}` : added;
  filter();
});
byId("filter").addEventListener("submit", (event) => { event.preventDefault(); filter(); });
byId("filter-clear").addEventListener("click", () => { byId("condition").value = ""; filter(); });

async function filter() {
  const condition = byId("condition").value.trim();
  byId("filtered").textContent = "filtering…";
  try {
    const result = await ask("filter", {condition});
    map.condition = condition;
    byId("filtered").textContent = condition ? `${format(result.total)} of ${format(state.n_cells)} cells` : "";
    await present(result);
  } catch { byId("filtered").textContent = "not filtered"; }
}

// -- selections ------------------------------------------------------------------------------------

// Show a selection. On the map, all of it is marked if it was drawn there, otherwise what the gallery shows.
async function present(result, {whole = false, sorted = "", of = null} = {}) {
  shown = result;
  gallery.reference = of;
  map.selection = result.selection;
  map.page = whole ? null : 0;
  map.later();
  fillSort(sorted);
  await page(result);
}

async function page(result) {
  const pages = Math.max(Math.ceil(result.total / 100), 1);
  byId("total").textContent = `${format(result.total)} cell${result.total === 1 ? "" : "s"} (${result.title})`;
  byId("page").textContent = result.total > 100 ? `${result.page * 100 + 1}–${Math.min(result.page * 100 + 100, result.total)}` : "";
  byId("previous").disabled = result.page === 0;
  byId("next").disabled = result.page + 1 >= pages;
  byId("label-all").disabled = result.total === 0;
  document.body.dataset.selection = String(result.selection);
  await gallery.show(result.cells);
}

const select = async (region) => present(await ask("select", {map: map.map, region, condition: map.condition}), {whole: true});

async function turn(step) {
  const button = byId(step > 0 ? "next" : "previous");
  if (!shown || button.disabled) return;
  shown = await ask("page", {selection: shown.selection, page: shown.page + step});
  if (map.page !== null) { map.page = shown.page; map.later(); }
  await page(shown);
}
byId("next").addEventListener("click", () => turn(1));
byId("previous").addEventListener("click", () => turn(-1));

async function similar(row, among) {
  const feature_set = byId("feature-set").value;
  const result = await ask("similar", {row, feature_set, among: among ? shown.selection : null, condition: map.condition});
  await present(result, {sorted: "similarity", of: row});
}

function fillSort(sorted) {
  byId("sort").replaceChildren(option("", "—"), option("similarity", "similarity to a cell", {disabled: sorted !== "similarity"}),
    ...state.columns.flatMap(({name}) => [option(`+${name}`, `${name} ↑`), option(`-${name}`, `${name} ↓`)]));
  byId("sort").value = sorted;
}

byId("sort").addEventListener("change", async (event) => {
  const chosen = event.target.value;
  if (!shown || !/^[+-]/.test(chosen)) return;
  const result = await ask("sort", {selection: shown.selection, column: chosen.slice(1), descending: chosen[0] === "-"});
  await present(result, {sorted: chosen, whole: map.page === null});
});

// -- labels ----------------------------------------------------------------------------------------

function labels(result) {
  const {classes, trained} = Object.assign(state, result);
  const known = new Map(classes.map(({name, colour}) => [name, colour]));
  gallery.colourOf = (label) => known.get(label) ?? "#555";
  byId("label-set").replaceChildren(...state.label_sets.map((name) => option(name, name, {selected: name === state.labels})));
  byId("classes").replaceChildren(...[...classes, ...pending()].map(button));
  byId("uncertain").disabled = !trained;
  const accuracy = trained && (trained.accuracy === null ? trained.note
    : `balanced accuracy ${trained.accuracy.toFixed(2)} (${trained.note})`);
  byId("trained").textContent = trained ? `${trained.n_labels} labels: ${accuracy}` : "";
  if (state.lost) byId("trained").textContent += ` ${state.lost} labels are of cells that have changed since.`;
  fillColours();
  saved(state.publication);
}

const added = new Set();  // labels without cells yet
const pending = () => [...added].filter((name) => !state.classes.some((each) => each.name === name))
  .map((name) => ({name, count: 0, colour: "#8a929c"}));
const names = () => [...state.classes, ...pending()].map((each) => each.name);

function button({name, count, colour}, number) {
  const swatch = element("span", {className: "swatch"});
  swatch.style.background = colour;
  const key = number < 9 ? element("kbd", {}, String(number + 1)) : "";
  const made = element("span", {className: "class"},
    element("button", {title: `Label what is marked: ${name}`, onclick: () => label(name)}, swatch, name, " ", key),
    element("button", {title: `Show the ${count} cells with this label`, disabled: !count,
      onclick: async () => present(await ask("labelled", {label: name}))}, format(count)));
  if (state.trained?.names.includes(name)) {
    made.append(element("button", {title: `Show unlabelled cells, most probable ${name} first`,
      onclick: async () => present(await ask("rank", {label: name, condition: map.condition}))}, "likely"));
  }
  made.dataset.label = name;
  return made;
}

async function changed(result) {
  labels(result);
  if (shown) {
    const again = await ask("page", {selection: shown.selection, page: shown.page});
    again.cells.forEach((cell, place) => {
      if (gallery.cells[place]?.row === cell.row) Object.assign(gallery.cells[place], {label: cell.label, predicted: cell.predicted});
    });
    gallery.captions();
  }
  if (["label", "predicted", "uncertainty"].includes(map.colour)) await recolour();
  watch();
}

async function label(name) {
  const rows = gallery.chosen();
  if (!rows.length) return complain("Mark cells first: click them, or point at one and press a key.");
  await changed(await ask("label", {rows, label: name, feature_set: byId("feature-set").value, labels: state.labels}));
  gallery.markAll(false);
}

async function unlabel() {
  const rows = gallery.chosen();
  if (rows.length) await changed(await ask("unlabel", {rows, labels: state.labels}));
  gallery.markAll(false);
}

async function train() {
  byId("train").disabled = true;
  byId("trained").textContent = "training…";
  try {
    await changed(await ask("train", {feature_set: byId("feature-set").value, labels: state.labels}));
  } catch { labels({}); } finally { byId("train").disabled = false; }
}

const uncertain = async () => present(await ask("rank", {condition: map.condition}));
const undo = async () => changed(await ask("undo", {labels: state.labels}));

byId("class-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const name = byId("class-name").value.trim();
  if (!name) return;
  added.add(name);
  byId("class-name").value = "";
  byId("class-name").blur();
  labels({});
});
byId("undo").addEventListener("click", undo);
byId("unlabel").addEventListener("click", unlabel);
byId("train").addEventListener("click", train);
byId("uncertain").addEventListener("click", uncertain);
byId("label-set").addEventListener("change", async (event) => openLabels(event.target.value));
byId("label-set-new").addEventListener("click", () => {
  const name = prompt("Name of the labels, the table labels_NAME in SQL: lower-case letters, digits and _");
  if (name) openLabels(name.trim());
});
byId("label-all").addEventListener("click", async () => {
  const list = names();
  if (!list.length) return complain("Add a label first.");
  const name = list.length === 1 ? list[0] : prompt(`Label all ${format(shown.total)} selected cells as: ${list.join(", ")}`, list[0]);
  if (!name || (list.length === 1 && !confirm(`Label all ${format(shown.total)} selected cells as ${name}?`))) return;
  await changed(await ask("label", {selection: shown.selection, label: name, feature_set: byId("feature-set").value,
    labels: state.labels}));
});

async function openLabels(name) {
  added.clear();
  await changed(await ask("open_labels", {name}));
}

function saved({pending, problem}) {
  byId("saved").textContent = problem ? `not published: ${problem}` : pending ? "saved; publishing…"
    : state.classes.length ? `saved in SQL as labels_${state.labels}` : "";
}

let watching = null;
function watch() {
  clearTimeout(watching);
  watching = setTimeout(async () => {
    const {publication} = await ask("saved");
    state.publication = publication;
    saved(publication);
    if (publication.pending) watch();
  }, 1000);
}

// -- keys ------------------------------------------------------------------------------------------

document.addEventListener("keydown", (event) => {
  if (event.target.matches("input:not([type=checkbox]):not([type=range]), select, textarea")) return;
  if ((event.ctrlKey || event.metaKey) && event.key === "z") { event.preventDefault(); return undo(); }
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const number = Number(event.key);
  if (number >= 1 && number <= 9 && names()[number - 1]) return label(names()[number - 1]);
  const actions = {
    0: unlabel, a: () => gallery.markAll(true), Escape: () => { gallery.markAll(false); detail.close(); },
    n: () => turn(1), p: () => turn(-1), t: train, u: () => state.trained && uncertain(),
  };
  actions[event.key]?.();
});

// -- start -----------------------------------------------------------------------------------------

byId("title").textContent = `${state.title}: ${format(state.n_cells)} cells`;
document.title = `${state.title} – pcip browse`;
fillMaps();
labels(state);
fillSort("");
column();
await map.open();
await map.show(state.maps[0].key);
document.body.dataset.ready = "yes";
