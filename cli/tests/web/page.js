// What the browser does for cesium.mjs: opens layers with CesiumJS, picks, and measures where CesiumJS has the surface of things.
/* global Cesium */

const DEADLINE_MS = 120_000;
// Across a measuring ray, metres.
const RAY_WIDTH_M = 0.001;
// The sun is high over Qingdao, so that the picture is bright and always the same.
const NOON = Cesium.JulianDate.fromIso8601("2026-06-21T04:00:00Z");

let scene;
const tilesets = new Map();
const { Cartesian2, Cartesian3, Ray, Transforms, Matrix4 } = Cesium;

// Draws until every tile that the view wants is there; says whether it came to that.
async function settle(tileset) {
  const until = Date.now() + DEADLINE_MS;
  // The first frames only ask for the root and what lies below it.
  for (let frame = 0; frame < 3 || (!tileset.tilesLoaded && Date.now() < until); frame += 1) {
    scene.render(NOON);
    await new Promise((done) => setTimeout(done, 10));
  }
  scene.render(NOON);
  return tileset.tilesLoaded;
}

async function add(url, options) {
  const tileset = await Cesium.Cesium3DTileset.fromUrl(url, { ...options, environmentMapOptions: { enabled: false } });
  tileset.failures = [];
  tileset.tileFailed.addEventListener((event) => tileset.failures.push(`${event.url} ${event.message}`));
  return scene.primitives.add(tileset);
}

function lookAt(tileset, pitch) {
  const sphere = tileset.boundingSphere;
  scene.camera.viewBoundingSphere(sphere, new Cesium.HeadingPitchRange(0.4, pitch, sphere.radius * 1.5));
  scene.camera.lookAtTransform(Matrix4.IDENTITY);
}

// The layers that have tiles.
async function openCity() {
  Cesium.Ion.defaultAccessToken = "";
  // What only adorns the picture costs most of the time on a machine without a GPU.
  const webgl = { preserveDrawingBuffer: true, antialias: false };
  scene = new Cesium.CesiumWidget("view", {
    globe: false, skyBox: false, skyAtmosphere: false, msaaSamples: 1, orderIndependentTranslucency: false,
    useDefaultRenderLoop: false, contextOptions: { webgl }, creditContainer: document.createElement("div"),
  }).scene;
  const { layers } = await (await fetch("/layers")).json();
  return layers.filter((layer) => layer.tileset);
}

// Loads one layer as seen from outside: what is drawn of it, and what is picked in each quarter of the picture.
async function readLayer(name, url) {
  const tileset = await add(`/${url}`, { maximumScreenSpaceError: 16 });
  lookAt(tileset, -0.7);
  const loaded = await settle(tileset);
  const picked = [];
  const { width, height } = scene.canvas;
  for (const [x, y] of [[1, 1], [3, 1], [1, 3], [3, 3]]) {
    const feature = scene.pick(new Cartesian2((width * x) / 4, (height * y) / 4), width / 2, height / 2);
    if (feature) picked.push({ id: feature.getProperty?.("id"), class: feature.getProperty?.("class") });
  }
  const { numberOfTrianglesSelected: triangles, numberOfPointsSelected: points } = tileset.statistics;
  tileset.show = false;
  tilesets.set(name, tileset);
  return { layer: name, loaded, failures: tileset.failures, triangles, points, picked };
}

// Everything at once, through the tileset of the city.
async function readWhole() {
  for (const tileset of tilesets.values()) tileset.show = false;
  const tileset = await add("/tileset.json", { maximumScreenSpaceError: 32 });
  lookAt(tileset, -0.5);
  const loaded = await settle(tileset);
  const { numberOfTrianglesSelected: triangles, numberOfPointsSelected: points } = tileset.statistics;
  return { loaded, failures: tileset.failures, triangles, points };
}

const moved = (at, towards, by_m) => Ray.getPoint(new Ray(at, towards), by_m);
const minus = (a, b) => Cartesian3.subtract(a, b, new Cartesian3());
const unit = (a) => Cartesian3.normalize(a, new Cartesian3());
const cross = (a, b) => Cartesian3.cross(a, b, new Cartesian3());
const middle = (a, b) => Cartesian3.midpoint(a, b, new Cartesian3());

// East, north and up at a place.
function axes(at) {
  const frame = Transforms.eastNorthUpToFixedFrame(at);
  return [0, 1, 2].map((column) => {
    const { x, y, z } = Matrix4.getColumn(frame, column, new Cesium.Cartesian4());
    return new Cartesian3(x, y, z);
  });
}

// The surface that a ray meets on its way to `at` against the direction `towards`: how far it lies from `at`, metres along
// `towards`, and the id of what it belongs to.
function surface(at, towards, away_m) {
  const back = Cartesian3.negate(towards, new Cartesian3());
  const hit = scene.pickFromRay(new Ray(moved(at, towards, away_m), back), [], RAY_WIDTH_M);
  return { off_m: hit?.position && Cartesian3.dot(minus(hit.position, at), towards), id: hit?.object?.getProperty?.("id") };
}

// The middle of something symmetric, by the surfaces on both sides of it.
function centre(axis, at, towards) {
  const [near, far] = [towards, Cartesian3.negate(towards, new Cartesian3())].map((side) => surface(at, side, 5));
  return [{ axis, off_m: (near.off_m - far.off_m) / 2, id: near.id }, { axis: "across", off_m: near.off_m + far.off_m, id: far.id }];
}

// The wall from one corner of a footprint to the next, counter-clockwise.
const outward = (a, b) => unit(cross(minus(b, a), axes(a)[2]));
const wall = (a, b) => ({ axis: "outward", ...surface(middle(a, b), outward(a, b), 1) });

// A kind of thing: from where it is looked at, and what is measured of it at its expected places.
const KINDS = {
  // Two walls that meet, by three corners of the footprint at one height.
  corner: {
    view: ([a, b]) => [middle(a, b), outward(a, b), axes(a)[2]],
    measure: ([a, b, c]) => [wall(a, b), wall(b, c)],
  },
  // The highest face, half way between two places at its height.
  top: {
    view: ([a, b]) => [middle(a, b), ...axes(a).slice(1).reverse()],
    measure: ([a, b]) => [{ axis: "up", ...surface(middle(a, b), axes(a)[2], 1) }],
  },
  // Something upright and symmetric around a place.
  post: {
    view: ([at]) => [at, ...axes(at).slice(1)],
    measure: ([at]) => ["east", "north"].flatMap((axis, i) => centre(axis, at, axes(at)[i])),
  },
  // A tube, half way between two points of its centre line.
  tube: {
    view: ([a, b]) => [middle(a, b), axes(a)[2], unit(minus(b, a))],
    measure: ([a, b]) => {
      const [at, along] = [middle(a, b), unit(minus(b, a))];
      const aside = unit(cross(along, axes(at)[2]));
      return [...centre("aside", at, aside), ...centre("up", at, unit(cross(aside, along)))];
    },
  },
};

// Measures a thing { layer, id, kind, places: [{ at: [lon, lat, height], off_m }] } with its layer alone in finest detail.
//
// Every figure comes from pickFromRay, on which CesiumJS's public sampleHeight and clampToHeight stand: CesiumJS draws what it has
// loaded into one pixel along the ray and gives back the depth and the feature. So the figure holds all that a user would see: the
// tile's transform, decompression, instancing and single precision.
async function measureThing({ layer, id, kind, places }) {
  const tileset = tilesets.get(layer);
  for (const other of tilesets.values()) other.show = other === tileset;
  tileset.maximumScreenSpaceError = 1;
  const expected = places.map(({ at }) => Cartesian3.fromDegrees(...at));
  const [at, towards, up] = KINDS[kind].view(expected);
  const orientation = { direction: Cartesian3.negate(towards, new Cartesian3()), up };
  scene.camera.setView({ destination: moved(at, towards, 20), orientation });
  const loaded = await settle(tileset);
  const feature = scene.pick(new Cartesian2(scene.canvas.width / 2, scene.canvas.height / 2));
  const tile = feature?.content?.tile;
  return {
    layer, id, kind, loaded,
    picked: feature?.getProperty?.("id"),
    // From the point where the plane of the tile touches the Earth.
    away_m: tile && Cartesian3.distance(Matrix4.getTranslation(tile.computedTransform, new Cartesian3()), at),
    projected_off_m: Math.max(...places.map((one) => one.off_m)),
    found: KINDS[kind].measure(expected),
  };
}
