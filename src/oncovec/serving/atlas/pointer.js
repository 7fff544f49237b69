"use strict";
// Mouse, fingers and keys on the map.

const MOVED = 4; // px after which a press is no click
const TURN = 1.5; // factor of one step of zoom
const fingers = new Map();
let travelled = 0;

// Call `hover(i, event)` and `leave()` for the point under the pointer, `pick(i)` for one that is clicked.
function listenToMap(hover, leave, pick) {
  const spot = (event) => {
    const box = MAP.getBoundingClientRect();
    return [event.clientX - box.left - MAP.clientLeft, event.clientY - box.top - MAP.clientTop];
  };
  MAP.addEventListener("pointerdown", (event) => {
    if (fingers.size === 0) travelled = 0;
    fingers.set(event.pointerId, spot(event));
    MAP.setPointerCapture(event.pointerId);
  });
  MAP.addEventListener("pointermove", (event) => {
    if (fingers.has(event.pointerId)) return drag(event.pointerId, spot(event));
    const i = pointAt(...spot(event));
    return i === null ? leave() : hover(i, event);
  });
  MAP.addEventListener("pointerup", (event) => {
    const i = pointAt(...spot(event));
    if (fingers.size === 1 && travelled < MOVED && i !== null) pick(i);
    fingers.delete(event.pointerId);
  });
  MAP.addEventListener("pointercancel", (event) => fingers.delete(event.pointerId));
  MAP.addEventListener("pointerleave", leave);
  MAP.addEventListener("wheel", (event) => {
    event.preventDefault();
    leave();
    zoom(Math.exp(-Math.sign(event.deltaY) * 0.2), ...spot(event));
  }, { passive: false });
  MAP.addEventListener("keydown", (event) => {
    if (!(event.key in MAP_KEYS) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    MAP_KEYS[event.key]();
  });
  new ResizeObserver(() => (seen.fitted ? zoomAll() : repaint())).observe(MAP);
}

// One finger pans; two zoom about their middle and pan with it.
function drag(id, to) {
  const from = fingers.get(id);
  const other = [...fingers].find(([each]) => each !== id)?.[1];
  const [dx, dy] = [to[0] - from[0], to[1] - from[1]];
  travelled += Math.hypot(dx, dy);
  fingers.set(id, to);
  if (travelled < MOVED) return;
  if (!other) {
    pan(dx, dy);
    return;
  }
  pan(dx / 2, dy / 2);
  const apart = (one) => Math.max(Math.hypot(one[0] - other[0], one[1] - other[1]), 1);
  zoom(apart(to) / apart(from), (to[0] + other[0]) / 2, (to[1] + other[1]) / 2);
}

const MAP_KEYS = {
  ArrowLeft: () => pan(40, 0),
  ArrowRight: () => pan(-40, 0),
  ArrowUp: () => pan(0, 40),
  ArrowDown: () => pan(0, -40),
  "+": () => zoom(TURN),
  "-": () => zoom(1 / TURN),
  0: () => zoomAll(),
};
