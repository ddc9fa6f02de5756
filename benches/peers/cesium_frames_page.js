// What the browser does for cesium_frames.mjs.
/* global Cesium */

const DEADLINE_MS = 250_000;
const NOON = Cesium.JulianDate.fromIso8601("2026-06-21T04:00:00Z");
const { Cartesian3, Math: Angle } = Cesium;

let scene;
let tileset;

function look(view, turned_deg) {
  const destination = Cartesian3.fromDegrees(view.lon, view.lat, view.height_m);
  const heading = Angle.toRadians(view.heading_deg + turned_deg);
  scene.camera.setView({ destination, orientation: { heading, pitch: Angle.toRadians(view.pitch_deg), roll: 0 } });
}

// Draws until every tile that the view wants is there.
async function showWhole(view) {
  Cesium.Ion.defaultAccessToken = "";
  scene = new Cesium.CesiumWidget("view", {
    globe: false, skyBox: false, skyAtmosphere: false, msaaSamples: 1, orderIndependentTranslucency: false,
    useDefaultRenderLoop: false, creditContainer: document.createElement("div"),
    contextOptions: { webgl: { antialias: false, preserveDrawingBuffer: true } },
  }).scene;
  // Cesium's angle of view is that of the longer side.
  const half = Math.tan(Angle.toRadians(view.fov_deg) / 2) * Math.max(1, view.width / view.height);
  scene.camera.frustum.fov = 2 * Math.atan(half);
  const options = { maximumScreenSpaceError: view.error_px, environmentMapOptions: { enabled: false }, skipLevelOfDetail: false };
  tileset = scene.primitives.add(await Cesium.Cesium3DTileset.fromUrl("/tileset.json", options));
  const failures = [];
  tileset.tileFailed.addEventListener((event) => failures.push(`${event.url} ${event.message}`));
  look(view, 0);
  const until = Date.now() + DEADLINE_MS;
  for (let frame = 0; frame < 3 || (!tileset.tilesLoaded && Date.now() < until); frame += 1) {
    scene.render(NOON);
    await new Promise((done) => setTimeout(done, 4));
  }
  scene.render(NOON);
  finish();
  const { numberOfTrianglesSelected: triangles, numberOfPointsSelected: points, selected, numberOfCommands: commands } = tileset.statistics;
  return { loaded: tileset.tilesLoaded, failures, triangles, points, tiles: selected, commands };
}

// Waits until the frame is drawn.
function finish() {
  const gl = scene.context._gl;
  gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4));
}

// Milliseconds of each frame while the camera turns.
async function turn(view) {
  const times = [];
  for (let frame = 1; frame <= view.frames; frame += 1) {
    look(view, view.turn_deg * frame);
    const started = performance.now();
    scene.render(NOON);
    finish();
    times.push(performance.now() - started);
    await new Promise((done) => setTimeout(done, 0));
  }
  return times;
}
