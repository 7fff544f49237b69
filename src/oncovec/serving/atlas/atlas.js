"use strict";
// The controls, the list of images and the selected image.

const PAGE = 100; // images in the list at a time
const STEP = 10; // images that Page Up and Page Down move
const by = (id) => document.getElementById(id);
const LIST = by("list");
const TIP = by("tip");
const state = { system: DATA.systems[0], method: "", shown: [], active: 0, selected: null };

const nameOf = (i) => DATA.images[state.system.dataset][state.system.image[i]];
const outcomeOf = (i) =>
  (isRight(state.system, i) ? "right" : "wrong") + (state.system.ood[i] ? ", out of distribution" : "");
const toldOf = (i) => {
  const { classes, label, predicted, splits, split } = state.system;
  return `${classes[label[i]]}, predicted ${classes[predicted[i]]} (${outcomeOf(i)}), ${splits[split[i]]}`;
};

function legendEntry(name, marker, colour) {
  const entry = document.createElement("li");
  const mark = picture(marker, colour, window.devicePixelRatio || 1);
  mark.className = "mark";
  entry.append(mark, element("span", name));
  return entry;
}

function drawLegend() {
  const classes = state.system.classes.map((name, i) => legendEntry(name, MARKERS[0], PALETTE[i % PALETTE.length]));
  const markers = MARKERS.map((marker) => legendEntry(marker.name, marker, themed("--soft")));
  by("legend").replaceChildren(...markers, ...classes);
}

function fill(id, names, all) {
  const options = names.map((name, i) => element("option", name, { value: i }));
  by(id).replaceChildren(...(all ? [element("option", all, { value: "all" })] : []), ...options);
}

function chosen(i) {
  const system = state.system;
  const [label, split, outcome] = ["label", "split", "outcome"].map((id) => by(id).value);
  const query = by("query").value.trim().toLowerCase();
  return (
    (label === "all" || system.label[i] === Number(label)) &&
    (split === "all" || system.split[i] === Number(split)) &&
    (outcome === "all" || (outcome === "ood" ? system.ood[i] === 1 : isRight(system, i) === (outcome === "right"))) &&
    (query === "" || nameOf(i).toLowerCase().includes(query))
  );
}

function useSystem() {
  const before = state.selected === null ? null : nameOf(state.selected);
  const system = DATA.systems[by("system").value];
  const method = state.method;
  state.system = system;
  const methods = Object.keys(system.planes);
  const spelled = { tsne: "t-SNE", pca: "PCA" };
  by("method").replaceChildren(...methods.map((name) => element("option", spelled[name] ?? name, { value: name })));
  const usual = methods.includes("tsne") ? "tsne" : methods[0];
  by("method").value = methods.includes(method) ? method : usual;
  fill("label", system.classes, "all");
  fill("split", system.splits, "all");
  const phantom = system.source === "phantom" ? " Its images are phantoms." : "";
  by("about").textContent =
    `${system.name}: task ${system.task}, ${system.image.length} evaluated images, ${system.gallery} images in ` +
    `the gallery, which vote by their distance (KNN, k = ${system.k}).${phantom}`;
  const images = system.image.map((image) => DATA.images[system.dataset][image]);
  const same = before === null ? -1 : images.indexOf(before);
  state.selected = same < 0 ? null : same;
  useFilter();
}

function useFilter() {
  state.method = by("method").value;
  state.shown = state.system.image.map((_, i) => i).filter(chosen);
  const place = state.shown.indexOf(state.selected);
  state.active = Math.max(place, 0);
  if (place < 0) state.selected = null;
  by("count").textContent = `${state.shown.length} of ${state.system.image.length} images`;
  hideTip();
  drawLegend();
  drawList();
  drawSelected();
  drawMap(state.system, state.method, state.shown, state.selected);
}

function drawList() {
  const start = PAGE * Math.floor(state.active / PAGE);
  const items = state.shown.slice(start, start + PAGE).map((i, offset) => {
    const item = element("li", nameOf(i), {
      role: "option", id: `image-${i}`, "aria-selected": i === state.selected,
      "aria-posinset": start + offset + 1, "aria-setsize": state.shown.length,
    });
    item.append(element("small", toldOf(i)));
    item.addEventListener("click", () => select(start + offset));
    return item;
  });
  LIST.replaceChildren(...items);
  by("before").disabled = start === 0;
  by("after").disabled = start + PAGE >= state.shown.length;
  showActive();
}

function showActive() {
  const item = state.selected === null ? null : by(`image-${state.selected}`);
  if (item === null) {
    LIST.removeAttribute("aria-activedescendant");
    LIST.scrollTop = 0;
    return;
  }
  LIST.setAttribute("aria-activedescendant", item.id);
  const above = item.offsetTop, below = above + item.offsetHeight;
  if (above < LIST.scrollTop) LIST.scrollTop = above;
  if (below > LIST.scrollTop + LIST.clientHeight) LIST.scrollTop = below - LIST.clientHeight;
}

function select(place) {
  if (state.shown.length === 0) return;
  state.active = Math.min(Math.max(place, 0), state.shown.length - 1);
  state.selected = state.shown[state.active];
  drawList();
  drawSelected();
  moveRing(state.selected);
}

function drawSelected() {
  const i = state.selected;
  if (i === null) {
    by("selected").replaceChildren(element("p", "Choose a point on the map or an image in the list."));
    return;
  }
  const { classes, label, predicted, probability, splits, split, ood, dataset, image } = state.system;
  const facts = element("dl");
  const rows = [
    ["class", classes[label[i]]],
    ["predicted", `${classes[predicted[i]]} (${isRight(state.system, i) ? "right" : "wrong"})`],
    ["probability", probability[i].toFixed(3)],
    ["out of distribution", ood[i] ? "yes: it gets no class" : "no"],
    ["split", splits[split[i]]],
  ];
  for (const [name, value] of rows) facts.append(element("dt", name), element("dd", value));
  const picture = thumbnail(dataset, image[i], 128);
  by("selected").replaceChildren(
    element("p", nameOf(i)), ...(picture ? [picture] : []), facts,
    element("h3", "Nearest images of the gallery"), neighboursOf(i),
  );
}

// The name of a file and of its folder; the whole name is in the title.
const shortened = (name) => name.split("/").slice(-2).join("/");

function neighboursOf(i) {
  const { classes, label, dataset, neighbours, neighbour_labels, distances } = state.system;
  const list = element("ol", "", { id: "neighbours" });
  neighbours[i].forEach((image, n) => {
    const same = neighbour_labels[i][n] === label[i];
    const item = element("li", "", { class: same ? "same" : "other" });
    const picture = thumbnail(dataset, image, 96);
    if (picture) item.append(picture);
    item.append(
      element("strong", classes[neighbour_labels[i][n]]),
      element("div", `${same ? "same class" : "other class"}, distance ${distances[i][n].toFixed(4)}`),
      element("div", shortened(DATA.images[dataset][image]), { title: DATA.images[dataset][image] }),
    );
    list.append(item);
  });
  return list;
}

function showTip(i, event) {
  const picture = thumbnail(state.system.dataset, state.system.image[i], 96);
  TIP.replaceChildren(...(picture ? [picture] : []), element("div", nameOf(i)), element("div", toldOf(i)));
  TIP.hidden = false;
  const inside = (at, size, room) => Math.max(4, at + 16 + size > room ? at - 16 - size : at + 16);
  TIP.style.left = `${inside(event.clientX, TIP.offsetWidth, window.innerWidth)}px`;
  TIP.style.top = `${inside(event.clientY, TIP.offsetHeight, window.innerHeight)}px`;
}

function hideTip() {
  TIP.hidden = true;
}

const KEYS = {
  ArrowDown: () => state.active + (state.selected === null ? 0 : 1),
  ArrowUp: () => state.active - 1,
  PageDown: () => state.active + STEP,
  PageUp: () => state.active - STEP,
  Home: () => 0,
  End: () => state.shown.length - 1,
};

LIST.addEventListener("keydown", (event) => {
  if (!(event.key in KEYS)) return;
  event.preventDefault();
  select(KEYS[event.key]());
});
by("controls").addEventListener("submit", (event) => event.preventDefault());
by("system").addEventListener("change", useSystem);
for (const id of ["method", "label", "split", "outcome"]) by(id).addEventListener("change", useFilter);
by("query").addEventListener("input", useFilter);
by("before").addEventListener("click", () => select(PAGE * (Math.floor(state.active / PAGE) - 1)));
by("after").addEventListener("click", () => select(PAGE * (Math.floor(state.active / PAGE) + 1)));
by("zoom-in").addEventListener("click", () => zoom(TURN));
by("zoom-out").addEventListener("click", () => zoom(1 / TURN));
by("zoom-all").addEventListener("click", () => zoomAll());
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", useFilter);

fill("system", DATA.systems.map((system) => system.name));
listenToMap(showTip, hideTip, (i) => select(state.shown.indexOf(i)));
useSystem();
