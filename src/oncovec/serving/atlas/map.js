"use strict";
// The map: a scatter plot on a canvas. Colour says the class, the marker whether KNN was right. It is no plot by
// plotly: where there is no GPU, its 5,000 points took several times as long to open and to pan, and it runs only
// under a content security policy that allows eval.

// Petroff, "Accessible Color Sequences for Data Visualization" (2021), for colour-blind readers, too. With more than
// ten classes colours come again; the filter of classes, the list and the tip name the class.
const PALETTE = [
  "#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6", "#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd",
];
// In the order in which they are drawn: what is wrong lies above what is right.
const MARKERS = [
  { name: "right", wrong: false, ood: false },
  { name: "right, out of distribution", wrong: false, ood: true },
  { name: "wrong", wrong: true, ood: false },
  { name: "wrong, out of distribution", wrong: true, ood: true },
];
const SIDE = 18; // of the picture of a marker, in px
const REACH = 12; // from the pointer to the point that it means, in px
const MARGIN = 0.06; // of the spread of the points, on each side
const MAP = document.getElementById("map");
const PEN = MAP.getContext("2d");

const isRight = (system, i) => system.label[i] === system.predicted[i];
const themed = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const drawn = { key: "", x: [], y: [], points: [], layers: [], selected: null };
// Where the middle of the canvas is in the plane, and px per unit; `fitted` until the reader moves it.
const seen = { x: 0, y: 0, scale: 1, fitted: true };

function drawMarker(pen, marker, colour, ink) {
  const middle = SIDE / 2, arm = 4;
  const path = new Path2D();
  if (marker.wrong) {
    for (const side of [-1, 1]) {
      path.moveTo(middle - arm, middle - side * arm);
      path.lineTo(middle + arm, middle + side * arm);
    }
  } else {
    path.arc(middle, middle, arm, 0, 2 * Math.PI);
  }
  // From the widest line to the thinnest: a rim in the colour of the text, so that pale colours stand out, too.
  const lines = marker.wrong ? [[7, ink], [5.5, colour]] : [[3.5, ink], [2, colour]];
  if (marker.ood && marker.wrong) lines.push([2.2, themed("--paper")]);
  pen.lineCap = "round";
  for (const [width, style] of lines) {
    pen.lineWidth = width;
    pen.strokeStyle = style;
    pen.stroke(path);
  }
  if (marker.wrong) return;
  const inside = new Path2D();
  inside.arc(middle, middle, marker.ood ? 2.5 : arm, 0, 2 * Math.PI);
  pen.fillStyle = marker.ood ? themed("--paper") : colour;
  pen.fill(inside);
}

function picture(marker, colour, ratio) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = SIDE * ratio;
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  drawMarker(pen, marker, colour, themed("--ink"));
  return canvas;
}

// The points of one marker and one class, which share a picture.
function layersOf(system, points) {
  const ratio = window.devicePixelRatio || 1;
  const places = new Map();
  for (const i of points) {
    const marker = MARKERS.findIndex((each) => each.wrong !== isRight(system, i) && each.ood === Boolean(system.ood[i]));
    const key = marker * system.classes.length + system.label[i];
    if (!places.has(key)) places.set(key, []);
    places.get(key).push(i);
  }
  return [...places.keys()].sort((a, b) => a - b).map((key) => {
    const marker = MARKERS[Math.floor(key / system.classes.length)];
    const colour = PALETTE[(key % system.classes.length) % PALETTE.length];
    return { points: places.get(key), picture: picture(marker, colour, ratio) };
  });
}

// Where a point is on the canvas, in px.
const placeOf = (i) => [
  MAP.clientWidth / 2 + (drawn.x[i] - seen.x) * seen.scale,
  MAP.clientHeight / 2 - (drawn.y[i] - seen.y) * seen.scale,
];

function fit() {
  const span = (values) => values.reduce(([low, high], value) => [Math.min(low, value), Math.max(high, value)], [Infinity, -Infinity]);
  const [[left, right], [bottom, top]] = [span(drawn.x), span(drawn.y)];
  const room = 1 + 2 * MARGIN;
  seen.x = (left + right) / 2;
  seen.y = (bottom + top) / 2;
  const scales = [MAP.clientWidth / (room * (right - left)), MAP.clientHeight / (room * (top - bottom))];
  seen.scale = Math.min(...scales.filter(Number.isFinite), 1e9);
  seen.fitted = true;
}

function paint() {
  const ratio = window.devicePixelRatio || 1;
  const width = Math.round(MAP.clientWidth * ratio), height = Math.round(MAP.clientHeight * ratio);
  if (MAP.width !== width || MAP.height !== height) [MAP.width, MAP.height] = [width, height];
  PEN.setTransform(ratio, 0, 0, ratio, 0, 0);
  PEN.clearRect(0, 0, MAP.clientWidth, MAP.clientHeight);
  for (const layer of drawn.layers) {
    for (const i of layer.points) {
      const [x, y] = placeOf(i);
      if (x < -SIDE || y < -SIDE || x > MAP.clientWidth + SIDE || y > MAP.clientHeight + SIDE) continue;
      PEN.drawImage(layer.picture, x - SIDE / 2, y - SIDE / 2, SIDE, SIDE);
    }
  }
  if (drawn.selected === null) return;
  PEN.beginPath();
  PEN.arc(...placeOf(drawn.selected), 13, 0, 2 * Math.PI);
  for (const [width, style] of [[7, themed("--paper")], [3.5, themed("--ink")]]) {
    PEN.lineWidth = width;
    PEN.strokeStyle = style;
    PEN.stroke();
  }
}

let asked = 0;
function repaint() {
  cancelAnimationFrame(asked);
  asked = requestAnimationFrame(paint);
}

// Show some points of a system. Points stay where they are, whatever is filtered.
function drawMap(system, method, points, selected) {
  const key = `${system.name} ${method}`;
  const [x, y] = system.planes[method];
  const isNew = key !== drawn.key;
  Object.assign(drawn, { key, x, y, points, layers: layersOf(system, points), selected });
  if (isNew) fit();
  repaint();
}

function moveRing(selected) {
  drawn.selected = selected;
  repaint();
}

// Zoom by a factor about a place of the canvas, in px; by default its middle.
function zoom(factor, px = MAP.clientWidth / 2, py = MAP.clientHeight / 2) {
  const dx = px - MAP.clientWidth / 2, dy = py - MAP.clientHeight / 2;
  const scale = seen.scale * factor;
  seen.x += dx / seen.scale - dx / scale;
  seen.y -= dy / seen.scale - dy / scale;
  seen.scale = scale;
  seen.fitted = false;
  repaint();
}

function pan(dx, dy) {
  seen.x -= dx / seen.scale;
  seen.y += dy / seen.scale;
  seen.fitted = false;
  repaint();
}

function zoomAll() {
  fit();
  repaint();
}

// The point under the pointer, the nearest one; null if there is none.
function pointAt(px, py) {
  let best = null, least = REACH ** 2;
  for (const i of drawn.points) {
    const [x, y] = placeOf(i);
    const distance = (x - px) ** 2 + (y - py) ** 2;
    if (distance <= least) [best, least] = [i, distance];
  }
  return best;
}
