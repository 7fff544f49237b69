"use strict";
// The data of the page, and thumbnails: a sheet is decoded when one of its images is first shown.

const DATA = JSON.parse(document.getElementById("data").textContent);
const HAS_IMAGES = document.getElementById("sheets") !== null;
const sheetUrls = new Map();
let sheetTexts = null;

function sheetUrl(dataset, sheet) {
  const key = `${sheet} ${dataset}`;
  if (!sheetUrls.has(key)) {
    sheetTexts ??= JSON.parse(document.getElementById("sheets").textContent);
    const bytes = Uint8Array.from(atob(sheetTexts[dataset][sheet]), (char) => char.charCodeAt(0));
    sheetUrls.set(key, URL.createObjectURL(new Blob([bytes], { type: "image/webp" })));
  }
  return sheetUrls.get(key);
}

// An element with text alone: names of files never become HTML.
function element(tag, text = "", attributes = {}) {
  const made = document.createElement(tag);
  made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

// The picture of an image, `size` px wide; null if the page holds no images.
function thumbnail(dataset, image, size) {
  if (!HAS_IMAGES) return null;
  const { across } = DATA.thumbnail;
  const place = image % across ** 2;
  const made = element("span", "", { class: "thumbnail", role: "img", "aria-label": DATA.images[dataset][image] });
  made.style.width = made.style.height = `${size}px`;
  made.style.backgroundImage = `url("${sheetUrl(dataset, Math.floor(image / across ** 2))}")`;
  made.style.backgroundSize = `${across * size}px auto`;
  made.style.backgroundPosition = `${-(place % across) * size}px ${-Math.floor(place / across) * size}px`;
  return made;
}
