// Draws a served city with CesiumJS in headless Chromium from one place: the time to the whole picture, and of each frame while the camera turns.
// usage: GROUNDLINE_WEB=FOLDER node cesium_frames.mjs SERVER VIEW PICTURE
// VIEW is { lon, lat, height_m, heading_deg, pitch_deg, fov_deg, width, height, error_px, frames, turn_deg } as JSON, the height above the
// ellipsoid, the angle of view the smaller one. Prints one JSON document.
import path from "node:path";
import { fileURLToPath } from "node:url";

import { launchBrowser, startFront } from "../../cli/tests/web/front.mjs";

const [server, text, picture] = process.argv.slice(2);
const view = JSON.parse(text);
const script = path.join(path.dirname(fileURLToPath(import.meta.url)), "cesium_frames_page.js");

const front = await startFront(server, script, view);
const launched = performance.now();
const browser = await launchBrowser();
try {
  const page = await browser.newPage();
  page.setDefaultTimeout(280_000);
  await page.setViewport({ width: view.width, height: view.height });
  const asked = performance.now();
  await page.goto(`http://127.0.0.1:${front.address().port}/page`);
  const shown = await page.evaluate((v) => showWhole(v), view);
  const whole = performance.now();
  const frames = await page.evaluate((v) => turn(v), view);
  await page.screenshot({ path: picture });
  console.log(JSON.stringify({ ...shown, start_s: (whole - launched) / 1e3, page_s: (whole - asked) / 1e3, frames_ms: frames }));
} finally {
  await browser.close();
  front.close();
}
