// Reads what `groundline serve` serves with CesiumJS in a headless browser, and says what it found there as one JSON document.
// usage: GROUNDLINE_WEB=FOLDER node cesium.mjs SERVER QUESTIONS PICTURE
// FOLDER has the node_modules of package.json, PICTURE is the file that gets the last view, of the whole city, and QUESTIONS a file of
// { proj, things: [{ layer, id, kind, places: [{ city: [x, y, height], lonlat: [lon, lat] }] }] }; page.js has the kinds.
import fs from "node:fs";
import path from "node:path";

import { launchBrowser, require, startFront } from "./front.mjs";

const [server, questions, picture] = process.argv.slice(2);
const here = import.meta.dirname ?? path.dirname(new URL(import.meta.url).pathname);
const proj4 = require("proj4");

const SIZE = { width: 320, height: 200 };

// Where proj4 has a place of the city (x, y, height), and how far from there Groundline's longitude and latitude are.
function place(projection, { city, lonlat }) {
  const [lon, lat] = projection.inverse(city.slice(0, 2));
  const [x, y] = projection.forward(lonlat);
  return { at: [lon, lat, city[2]], off_m: Math.hypot(x - city[0], y - city[1]) };
}

const asked = JSON.parse(fs.readFileSync(questions, "utf8"));
const projection = proj4(asked.proj);
const placed = asked.things.map((thing) => ({ ...thing, places: thing.places.map((one) => place(projection, one)) }));

const front = await startFront(server, path.join(here, "page.js"), SIZE);
const browser = await launchBrowser();
const errors = [];
const page = await browser.newPage();
try {
  page.setDefaultTimeout(120_000);
  await page.setViewport(SIZE);
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
  page.on("requestfailed", (request) => errors.push(`${request.url()} ${request.failure()?.errorText}`));
  page.on("response", (response) => response.status() >= 400 && errors.push(`${response.url()} ${response.status()}`));
  await page.goto(`http://127.0.0.1:${front.address().port}/page`);

  const layers = [];
  for (const { name, tileset } of await page.evaluate(() => openCity())) {
    layers.push(await page.evaluate((n, t) => readLayer(n, t), name, tileset));
  }
  const things = [];
  for (const thing of placed) things.push(await page.evaluate((t) => measureThing(t), thing));
  const whole = await page.evaluate(() => readWhole());
  console.log(JSON.stringify({ layers, things, whole, errors }, null, 1));
} finally {
  // Also when something went wrong.
  await page.screenshot({ path: picture });
  await browser.close();
  front.close();
}
