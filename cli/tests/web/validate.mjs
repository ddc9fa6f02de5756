// What the glTF validator says about each GLB, as it is and again with its buffers decompressed by meshoptimizer, since it does not
// look into compressed ones. One JSON document: { FILE: { errors, warnings, issues } }.
// usage: GROUNDLINE_WEB=FOLDER node validate.mjs FILE…; FOLDER has the node_modules of package.json.
import fs from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";

const require = createRequire(path.join(process.env.GROUNDLINE_WEB, "package.json"));
const gltf = require("gltf-validator");
const MeshoptDecoder = require("meshoptimizer/decoder.cjs");

const MESHOPT = "EXT_meshopt_compression";
const MAGIC = { glb: 0x46546c67, json: 0x4e4f534a, bin: 0x004e4942 };

// The chunks of a GLB: its JSON and its bytes.
function readGlb(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const jsonLength = view.getUint32(12, true);
  const json = JSON.parse(new TextDecoder().decode(bytes.subarray(20, 20 + jsonLength)));
  const start = 20 + jsonLength + 8;
  return { json, bin: start < bytes.length ? bytes.subarray(start, start + view.getUint32(start - 8, true)) : new Uint8Array() };
}

function writeGlb(json, bin) {
  const text = new TextEncoder().encode(JSON.stringify(json));
  const padded = Buffer.alloc(Math.ceil(text.length / 4) * 4, " ");
  padded.set(text);
  const head = Buffer.alloc(28);
  const total = 28 + padded.length + bin.length;
  [MAGIC.glb, 2, total, padded.length, MAGIC.json].forEach((number, i) => head.writeUInt32LE(number, 4 * i));
  head.writeUInt32LE(bin.length, 20);
  head.writeUInt32LE(MAGIC.bin, 24);
  return Buffer.concat([head.subarray(0, 20), padded, head.subarray(20), bin]);
}

// The same GLB without compression.
function decompress(bytes) {
  const { json, bin } = readGlb(bytes);
  const parts = [];
  let offset = 0;
  for (const view of json.bufferViews ?? []) {
    const packed = view.extensions?.[MESHOPT];
    let content;
    if (packed) {
      content = new Uint8Array(packed.count * packed.byteStride);
      const source = bin.subarray(packed.byteOffset ?? 0, (packed.byteOffset ?? 0) + packed.byteLength);
      MeshoptDecoder.decodeGltfBuffer(content, packed.count, packed.byteStride, source, packed.mode, packed.filter);
      delete view.extensions;
    } else {
      content = bin.subarray(view.byteOffset ?? 0, (view.byteOffset ?? 0) + view.byteLength);
    }
    Object.assign(view, { buffer: 0, byteOffset: offset, byteLength: content.length });
    const gap = (8 - (content.length % 8)) % 8;
    parts.push(content, Buffer.alloc(gap));
    offset += content.length + gap;
  }
  json.buffers = offset ? [{ byteLength: offset }] : undefined;
  for (const list of ["extensionsUsed", "extensionsRequired"]) {
    json[list] = json[list]?.filter((name) => name !== MESHOPT);
    if (!json[list]?.length) delete json[list];
  }
  return writeGlb(json, Buffer.concat(parts));
}

async function judge(file) {
  const bytes = fs.readFileSync(file);
  const verdict = { errors: 0, warnings: 0, issues: [] };
  for (const form of [bytes, decompress(bytes)]) {
    const { issues } = await gltf.validateBytes(new Uint8Array(form));
    verdict.errors += issues.numErrors;
    verdict.warnings += issues.numWarnings;
    verdict.issues.push(...issues.messages);
  }
  return verdict;
}

await MeshoptDecoder.ready;
const found = {};
for (const file of process.argv.slice(2)) found[file] = await judge(file);
console.log(JSON.stringify(found, null, 1));
