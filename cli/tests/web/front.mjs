// A headless browser with CesiumJS, and one origin for its page, CesiumJS and a city, since the server answers pages of its own origin only.
import fs from "node:fs";
import http from "node:http";
import { createRequire } from "node:module";
import path from "node:path";

// The packages of package.json, in the folder that GROUNDLINE_WEB names.
export const require = createRequire(path.join(process.env.GROUNDLINE_WEB, "package.json"));
const puppeteer = require("puppeteer-core");
const cesium = path.join(path.dirname(require.resolve("cesium/package.json")), "Build/Cesium");

const BROWSERS = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
const TYPES = { ".js": "text/javascript", ".css": "text/css", ".json": "application/json", ".wasm": "application/wasm" };

const pageOf = ({ width, height }) => `<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,">
<style>body { margin: 0 } #view, #view * { width: ${width}px; height: ${height}px }</style>
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

// Serves a page of this size with this script, and everything else as `server` does.
export async function startFront(server, script, size) {
  const front = http.createServer((request, answer) => {
    const url = path.posix.normalize(decodeURI(request.url.split("?")[0]));
    if (url === "/page") {
      answer.setHeader("content-type", "text/html");
      answer.end(pageOf(size));
    } else if (url === "/page.js") {
      sendFile(answer, script);
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

// The browser, drawing with SwiftShader.
export function launchBrowser() {
  return puppeteer.launch({
    executablePath: findBrowser(),
    args: [
      "--no-sandbox", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
      "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist",
    ],
    // A machine that is busy takes its time.
    timeout: 120_000,
    protocolTimeout: 300_000,
  });
}
