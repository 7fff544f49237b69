"use strict";

const $ = (id) => document.getElementById(id);
let systems = [];
let mostBytes = 0;
let file = null;
let asking = null;

const system = () => systems.find((each) => each.name === $("system").value);

function element(tag, text = "", properties = {}) {
  return Object.assign(document.createElement(tag), { textContent: text }, properties);
}

async function answerOf(response) {
  const text = await response.text();
  let content = null;
  try {
    content = JSON.parse(text);
  } catch {
    // A refusal of too many connections is plain text.
  }
  if (!response.ok) throw new Error(content?.error || text || `the server answered ${response.status}`);
  return content;
}

function showSystem() {
  const chosen = system();
  $("phantom").hidden = !chosen.phantom;
  $("known").replaceChildren(...chosen.known.map((line) => element("li", line)));
}

function fail(reason) {
  $("status").textContent = "";
  $("result").hidden = true;
  $("error").textContent = reason;
}

async function predict() {
  asking?.abort();
  if (!file || !system()) return;
  $("error").textContent = "";
  if (file.size > mostBytes) {
    fail(`The image is larger than ${mostBytes / 2 ** 20} MiB: reduce it first.`);
    return;
  }
  const mine = (asking = new AbortController());
  const chosen = system();
  $("status").textContent = "The system looks at the image …";
  try {
    const response = await fetch(`/api/predict?system=${encodeURIComponent(chosen.name)}&pictures=true`, {
      method: "POST",
      body: file,
      headers: { "Content-Type": "application/octet-stream" },
      signal: mine.signal,
    });
    const [found] = await answerOf(response);
    if (mine.signal.aborted) return;
    show(found, chosen);
  } catch (error) {
    if (mine.signal.aborted) return;
    fail(error instanceof TypeError ? "The server cannot be reached." : `No prediction: ${error.message}`);
  }
}

function summary(found) {
  if (found.ood) return "No class: the image is unlike the training images (out of distribution).";
  const others = found.prediction_set.filter((name) => name !== found.predicted);
  const every = others.length && found.prediction_set.length === Object.keys(found.probabilities).length;
  const may = every && others.length > 1 ? "any other class" : others.join(" or ");
  const more = may ? ` It may also be ${may}.` : "";
  const likeliest = Object.keys(found.probabilities).reduce((a, b) => (found.probabilities[b] > found.probabilities[a] ? b : a));
  const rival = found.probabilities[likeliest] > found.probability;
  const why = rival ? ` ${likeliest} has more votes; the operating point decides.` : "";
  return `${found.predicted}, probability ${found.probability.toFixed(3)}.${why}${more}`;
}

function show(found, chosen) {
  $("status").textContent = `Prediction of ${chosen.name} is there.`;
  $("predicted").textContent = summary(found);
  $("predicted").className = found.ood ? "note" : "";
  $("trained-on").hidden = !found.trained_on;
  showProbabilities(found);
  showPictures(found);
  $("neighbours").replaceChildren(...found.neighbours.map((each) => neighbour(each, chosen)));
  $("result").hidden = false;
}

function showProbabilities(found) {
  const rows = Object.entries(found.probabilities).map(([name, value]) => {
    const row = element("tr", "", { className: name === found.predicted ? "predicted" : "" });
    const share = element("td", `${value.toFixed(3)} `);
    share.append(element("meter", "", { value, ariaLabel: `probability of ${name}` }));
    const inSet = found.ood ? "–" : found.prediction_set.includes(name) ? "yes" : "no";
    row.append(element("th", name, { scope: "row" }), share, element("td", inSet));
    return row;
  });
  $("probabilities").replaceChildren(...rows);
}

function showPictures(found) {
  $("seen").src = found.seen;
  $("toggle").hidden = !found.heat_map;
  if (found.heat_map) $("heat").src = found.heat_map;
  else $("heat").removeAttribute("src");
  showHeat();
  $("heat-note").textContent = found.heat_map
    ? `Bright places made the image similar to the nearest training images of ${found.predicted}, and unlike ` +
      "those of other classes. The map is coarse. It says where the system looked, not whether it is right."
    : found.no_heat_map || "There is no heat map, because no class is predicted.";
}

function showHeat() {
  $("heat").hidden = !$("show").checked || !$("heat").hasAttribute("src");
}

function neighbour(each, chosen) {
  const item = element("li");
  if (chosen.thumbnails) {
    const query = new URLSearchParams({ system: chosen.name, image: each.image });
    item.append(element("img", "", { src: `/api/training-image?${query}`, alt: `Training image of ${each.label}` }));
  }
  item.append(
    element("span", each.label, { className: "label" }),
    element("span", `distance ${each.distance.toFixed(3)}`),
    element("span", each.image),
  );
  return item;
}

function choose(files) {
  if (!files.length) return;
  file = files[0];
  predict();
}

function acceptDrops() {
  const drop = $("drop");
  for (const name of ["dragover", "drop"]) window.addEventListener(name, (event) => event.preventDefault());
  drop.addEventListener("dragover", () => drop.classList.add("over"));
  drop.addEventListener("dragleave", () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => {
    drop.classList.remove("over");
    $("file").value = "";
    choose(event.dataTransfer.files);
  });
}

function listen() {
  $("system").addEventListener("change", () => {
    showSystem();
    predict();
  });
  $("file").addEventListener("change", () => choose($("file").files));
  $("show").addEventListener("change", showHeat);
  acceptDrops();
}

async function start() {
  listen();
  try {
    const content = await answerOf(await fetch("/api/systems"));
    systems = content.systems;
    mostBytes = content.upload_bytes;
  } catch (error) {
    fail(`The server cannot be reached: ${error.message}`);
    return;
  }
  $("limits").prepend(`At most ${mostBytes / 2 ** 20} MiB. `);
  $("system").replaceChildren(...systems.map((each) => element("option", `${each.name} (${each.task})`, { value: each.name })));
  showSystem();
  predict(); // a file may have been chosen before the systems were known
}

start();
