// Reads what `groundline serve` serves with CesiumJS in a headless browser, and says what it found there as one JSON document.
// usage: GROUNDLINE_WEB=FOLDER node cesium.mjs SERVER QUESTIONS PICTURE
// FOLDER has the node_modules of package.json, PICTURE is the file that gets the last view, of the whole city, and QUESTIONS a file of
// { proj, things: [{ layer, id, kind, places: [{ city: [x, y, height], lonlat: [lon, lat] }] }] }; page.js has the kinds.
import fs from "node:fs";
import http from "node:http";
import { createRequire } from "node:module";
import path from "node:path";

const [server, questions, picture] = process.argv.slice(2);
const here = import.meta.dirname ?? path.dirname(new URL(import.meta.url).pathname);
const require = createRequire(path.join(process.env.GROUNDLINE_WEB, "package.json"));
const puppeteer = require("puppeteer-core");
const proj4 = require("proj4");
const cesium = path.join(path.dirname(require.resolve("cesium/package.json")), "Build/Cesium");

const SIZE = { width: 320, height: 200 };
const BROWSERS = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
const TYPES = { ".js": "text/javascript", ".css": "text/css", ".json": "application/json", ".wasm": "application/wasm" };
const PAGE = `<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,">
<style>body { margin: 0 } #view, #view * { width: ${SIZE.width}px; height: ${SIZE.height}px }</style>
<div id="view"></div><script>window.CESIUM_BASE_URL = "/cesium/"</script>
<script src="/cesium/Cesium.js"></script><script src="/page.js"></script>`;

function findBrowser() {
  if (process.env.CHROMIUM) return process.env.CHROMIUM;
  const folders = process.env.PATH.split(path.delimiter);
  const found = BROWSERS.flatMap((name) => folders.map((folder) => path.join(folder, name))).find((file) => fs.existsSync(file));
  if (!found) throw new Error(`no browser: none of ${BROWSERS.join(", ")} is on the PATH, and CHROMIUM is not set`);
  return found;
}

function sendFile(answer, file) {
  answer.setHeader("content-type", TYPES[path.extname(file)] ?? "application/octet-stream");
  fs.createReadStream(file).on("error", () => answer.writeHead(404).end()).pipe(answer);
}

// One origin for the page, CesiumJS and the city, since the server answers pages of its own origin only.
async function startFront() {
  const front = http.createServer((request, answer) => {
    const url = path.posix.normalize(decodeURI(request.url.split("?")[0]));
    if (url === "/page") {
      answer.setHeader("content-type", "text/html");
      answer.end(PAGE);
    } else if (url === "/page.js") {
      sendFile(answer, path.join(here, "page.js"));
    } else if (url.startsWith("/cesium/")) {
      sendFile(answer, path.join(cesium, url.slice("/cesium/".length)));
    } else {
      const pass = (from) => {
        answer.writeHead(from.statusCode, from.headers);
        from.pipe(answer);
      };
      http.get(server + request.url, pass).on("error", (error) => answer.writeHead(502).end(String(error)));
    }
  });
  await new Promise((done) => front.listen(0, "127.0.0.1", done));
  return front;
}

// Where proj4 has a place of the city (x, y, height), and how far from there Groundline's longitude and latitude are.
function place(projection, { city, lonlat }) {
  const [lon, lat] = projection.inverse(city.slice(0, 2));
  const [x, y] = projection.forward(lonlat);
  return { at: [lon, lat, city[2]], off_m: Math.hypot(x - city[0], y - city[1]) };
}

const asked = JSON.parse(fs.readFileSync(questions, "utf8"));
const projection = proj4(asked.proj);
const placed = asked.things.map((thing) => ({ ...thing, places: thing.places.map((one) => place(projection, one)) }));

const front = await startFront();
const browser = await puppeteer.launch({
  executablePath: findBrowser(),
  args: [
    "--no-sandbox", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist",
  ],
  // A machine that is busy takes its time.
  timeout: 120_000,
  protocolTimeout: 300_000,
});
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
