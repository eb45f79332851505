/* Pictures for items that have none: a line drawing of the category on a colour of its own. */
"use strict";
const ART = {
  laptops: "M5 6h14v9H5zM2.5 18.5h19",
  phones: "M8 3h8v18H8zM11 18.5h2",
  headphones: "M4 14v-2a8 8 0 0 1 16 0v2M4 14h3v6H5.5a1.5 1.5 0 0 1-1.5-1.5zM20 14h-3v6h1.5a1.5 1.5 0 0 0 1.5-1.5z",
  monitors: "M3 5h18v11H3zM9 20h6M12 16v4",
  "keyboards & mice": "M2.5 7h19v10h-19zM6 10.5h.01M9 10.5h.01M12 10.5h.01M15 10.5h.01M18 10.5h.01M8 14h8",
  storage: "M3 13h18v6H3zM3 13l2.5-8h13l2.5 8M17.5 16h.01M14.5 16h.01",
  cameras: "M3 7.5h4l1.5-2.5h7l1.5 2.5h4V19H3zM12 16.5a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7z",
  "smart home": "M3.5 11 12 4l8.5 7M6 9.5V20h12V9.5M12 17v-3.5M9.7 12.5a3.3 3.3 0 0 1 4.6 0",
  tablets: "M5 3h14v18H5zM11 18.5h2",
  wearables: "M8 8h8v8H8zM9.5 8l.5-5h4l.5 5M9.5 16l.5 5h4l.5-5M12 10.5V12l1 1",
  audio: "M6 3h12v18H6zM12 17.5a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7zM12 7.2h.01",
  accessories: "M9 3v5M15 3v5M6.5 8h11v3.5a5.5 5.5 0 0 1-11 0zM12 17v4",
  kitchen: "M5 9h12v6a5 5 0 0 1-5 5h-2a5 5 0 0 1-5-5zM17 11h1.5a2 2 0 0 1 0 4.5H17M8.5 3v3M13 3v3",
};
const ANY = "M5 8h14l-1 12H6zM9 8a3 3 0 0 1 6 0";
const SVG = "http://www.w3.org/2000/svg";

/** Return a number from 0 to 359 that is always the same for a text. */
function hueOf(text) {
  let hash = 7;
  for (const letter of text) hash = (hash * 31 + letter.codePointAt(0)) >>> 0;
  return hash % 360;
}

/** Put a drawing into `place`, unless there is a picture. */
function drawArt(place, item) {
  if (!place || place.querySelector("img, svg")) return;
  const category = (item.category || "").trim().toLowerCase();
  const drawing = document.createElementNS(SVG, "svg");
  drawing.setAttribute("viewBox", "0 0 24 24");
  drawing.setAttribute("aria-hidden", "true");
  const line = document.createElementNS(SVG, "path");
  line.setAttribute("d", ART[category] || ANY);
  drawing.append(line);
  place.style.setProperty("--hue", String((hueOf(category) + (hueOf(item.item_id) % 40)) % 360));
  place.append(drawing);
}
