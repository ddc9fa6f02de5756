// Meshes every product of IFC files with web-ifc and prints meshes and triangles.
const fs = require("fs");
const { IfcAPI } = require("web-ifc");

(async () => {
  const api = new IfcAPI();
  await api.Init();
  let meshes = 0;
  let triangles = 0;
  for (const name of process.argv.slice(2)) {
    const model = api.OpenModel(new Uint8Array(fs.readFileSync(name)));
    api.StreamAllMeshes(model, (mesh) => {
      meshes += 1;
      for (let i = 0; i < mesh.geometries.size(); i += 1) {
        const shape = api.GetGeometry(model, mesh.geometries.get(i).geometryExpressID);
        triangles += shape.GetIndexDataSize() / 3;
        shape.delete();
      }
    });
    api.CloseModel(model);
  }
  console.log(meshes, triangles);
})();
