"""Holds building models against ifcopenshell: products, extents, surfaces, storeys, parents, property sets, materials.

What ifcopenshell says of a file is kept under the sha256 of the file beside the folder of its Python, since it takes
minutes for all files; whoever wants it anew removes ~/.cache/groundline/referees/ifc.
"""

import collections
import gzip
import hashlib
import json
import math
import multiprocessing
import os
import pathlib
import re
import sys

import numpy as np

from verdict import Verdict, ours, sources

# Products that are no things in a city; `LEFT_OUT` of importers/src/ifc/parse.rs.
LEFT_OUT = [
    "IfcOpeningElement", "IfcOpeningStandardCase", "IfcVoidingFeature", "IfcAnnotation", "IfcGrid",
    "IfcDistributionPort", "IfcPort", "IfcVirtualElement", "IfcReferent", "IfcAlignment", "IfcAlignmentSegment",
    "IfcAlignmentHorizontal", "IfcAlignmentVertical", "IfcAlignmentCant",
]  # fmt: skip
EXTENT_M = 0.001
AREA = 0.001
# Surfaces below this are lost in the noise of tessellation, m².
AREA_M2 = 1e-4

verdict = Verdict("ifc")


def cache_of(path):
    """Where the verdict on a file lies: named by the file, this program and the referee's version."""
    import ifcopenshell

    digest = hashlib.sha256(pathlib.Path(path).read_bytes())
    digest.update(pathlib.Path(__file__).read_bytes().split(b"# --- judged from here on")[0])
    digest.update(ifcopenshell.version.encode())
    return pathlib.Path(sys.prefix).parent / "ifc" / f"{digest.hexdigest()}.json.gz"


def plain(value):
    if isinstance(value, (str, bool, int, float)) or value is None:
        return value
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    return str(value)


def ask(path):
    """All that ifcopenshell says of a file, as plain data."""
    # The geometry library writes what it thinks to standard output.
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    import ifcopenshell
    import ifcopenshell.geom
    import ifcopenshell.util.element as element
    import ifcopenshell.util.unit

    is_draft = False
    try:
        try:
            model = ifcopenshell.open(path)
        except ifcopenshell.SchemaError:
            # Drafts of IFC 4.3, which it does not know, are read as the final version.
            is_draft = True
            text = pathlib.Path(path).read_text("latin1")
            model = ifcopenshell.file.from_string(re.sub(r"IFC4X3_RC\d", "IFC4X3_ADD2", text, count=1))
        model.schema_identifier  # there is none where it gave up at the header
    except Exception as error:  # many kinds
        return {"error": f"{type(error).__name__}: {error}"[:200]}
    metre = ifcopenshell.util.unit.calculate_unit_scale(model)
    said = {"schema": model.schema_identifier, "is_draft": is_draft, "products": {}, "shapes": {}}
    for product in model.by_type("IfcProduct"):
        if any(product.is_a(kind) for kind in LEFT_OUT if kind.upper() in known(model)):
            continue
        up = element.get_parent(product)
        about = {"type": product.is_a(), "name": product.Name, "parent": up.GlobalId if up is not None else None}
        if product.is_a("IfcBuildingStorey") and product.Elevation is not None:
            about["elevation"] = product.Elevation * metre
        sets = element.get_psets(product)
        about["sets"] = {name: plain({k: v for k, v in s.items() if k != "id"}) for name, s in sets.items()}
        about["materials"] = sorted({m.Name or "" for m in element.get_materials(product) if m.is_a("IfcMaterial")})
        said["products"][product.GlobalId] = about
    settings = ifcopenshell.geom.settings()
    settings.set("use-world-coords", True)
    exclude = [kind for kind in LEFT_OUT if kind.upper() in known(model)]
    shapes = ifcopenshell.geom.iterator(settings, model, 1, exclude=exclude)
    if shapes.initialize():
        while True:
            shape = shapes.get()
            said["shapes"].setdefault(shape.guid, []).append(measure(shape.geometry))
            if not shapes.next():
                break
    return said


def known(model):
    import ifcopenshell.ifcopenshell_wrapper as wrapper

    return {d.name().upper() for d in wrapper.schema_by_name(model.schema_identifier).declarations()}


def measure(geometry):
    corners = np.array(geometry.verts, dtype=float).reshape(-1, 3)
    faces = np.array(geometry.faces, dtype=int).reshape(-1, 3)
    if not len(faces):
        return None
    a, b, c = (corners[faces[:, i]] for i in range(3))
    used = corners[np.unique(faces)]
    return {
        "box": [used.min(axis=0).tolist(), used.max(axis=0).tolist()],
        "area": float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2),
        "triangles": len(faces),
        # Without a style in the file the library takes a colour of its own, which is nobody's.
        "colours": sorted({tuple(round(x * 255) for x in colour(m)) for m in geometry.materials if m.instance_id()}),
        "has_own_colours": any(not m.instance_id() for m in geometry.materials),
    }


def colour(material):
    diffuse = material.diffuse
    alpha = 1 - material.transparency if material.has_transparency() else 1
    return (diffuse.r(), diffuse.g(), diffuse.b(), alpha)


def answer(path):
    kept = cache_of(path)
    if not kept.exists():
        said = ask(path)
        kept.parent.mkdir(parents=True, exist_ok=True)
        # Renamed when whole, so that a run that was stopped leaves nothing half.
        part = kept.with_suffix(f".{os.getpid()}")
        part.write_bytes(gzip.compress(json.dumps(said).encode(), mtime=0))
        part.rename(kept)
    return path


# --- judged from here on


def judge(file, head, objects, said):
    mine = {}
    for object in objects:
        attributes = {key: value for key, _, _, value in object["attributes"]}
        mine[attributes.get("global_id", object["id"])] = (object, attributes)
    verdict.counts["files"] += 1
    verdict.counts["files of drafts, read as final"] += said["is_draft"]
    skipped = " ".join(s["reason"] for s in head["skips"])
    for guid, about in said["products"].items():
        verdict.counts["products"] += 1
        kind = about["type"]
        if kind.startswith("IfcStructural"):
            continue
        if guid not in mine:
            if guid not in skipped:
                shaped = "with" if said["shapes"].get(guid) else "without"
                verdict.differ(file, f"no {kind} {shaped} shape", f"{guid} {about['name']}")
            continue
        compare_facts(file, guid, about, said["products"], *mine[guid])
        compare_shape(file, guid, kind, mine[guid][0], said["shapes"].get(guid))
    for guid, (object, attributes) in mine.items():
        if guid not in said["products"]:
            verdict.differ(file, f"extra {attributes.get('ifc_type')}", guid)


def compare_shape(file, guid, kind, object, shapes):
    shapes = [s for s in shapes or [] if s]
    where = f"{guid} {object['name']}"
    if not shapes or object["shape"] != "mesh":
        if shapes:
            verdict.differ(file, f"not meshed {kind}", where)
        elif object["shape"] == "mesh":
            verdict.differ(file, f"meshed by us alone {kind}", where)
        return
    verdict.counts["shapes"] += 1
    low = np.min([s["box"][0] for s in shapes], axis=0)
    high = np.max([s["box"][1] for s in shapes], axis=0)
    gap = np.abs(np.array(object["box"]) - [low, high]).max()
    if not gap <= EXTENT_M:
        mine = np.round(object["box"], 3).tolist()
        verdict.differ(file, f"extent {kind}", f"{where}: {gap:.4f} m: {mine}, not {np.round([low, high], 3).tolist()}")
    area = sum(s["area"] for s in shapes)
    if abs(object["area"] - area) > max(AREA * area, AREA_M2):
        verdict.differ(file, f"area {kind}", f"{where}: {object['area']:.4f}, not {area:.4f} m² ({object['area'] / area - 1:+.2%})")
    theirs = {tuple(c) for s in shapes for c in s["colours"]}
    ours = {tuple(c) for c in object["colours"]}
    is_styled = not any(s["has_own_colours"] for s in shapes)
    verdict.counts["shapes with colours of the file"] += is_styled
    # Spaces are drawn thinner here, so that they do not hide the walls.
    if is_styled and object["class"] != "space" and not same_colours(ours, theirs):
        verdict.differ(file, f"colour {kind}", f"{where}: {sorted(ours)}, not {sorted(theirs)}")


def same_colours(mine, theirs):
    near = lambda a, b: all(abs(x - y) <= 1 for x, y in zip(a, b))
    return all(any(near(a, b) for b in theirs) for a in mine) and all(any(near(a, b) for a in mine) for b in theirs)


# Sets without a name go by their type here, by nothing there.
UNNAMED = [
    "IfcElementQuantity", "IfcDoorLiningProperties", "IfcDoorPanelProperties", "IfcWindowLiningProperties",
    "IfcWindowPanelProperties", "IfcPermeableCoveringProperties",
]  # fmt: skip


def compare_facts(file, guid, about, products, object, attributes):
    kind = about["type"]
    if attributes.get("ifc_type") != kind:
        verdict.differ(file, "type", f"{guid}: {attributes.get('ifc_type')}, not {kind}")
    if (object["name"] or "") != (about["name"] or ""):
        verdict.differ(file, "name", f"{guid}: {object['name']!r}, not {about['name']!r}")
    # The project is no product: what hangs on it hangs on nothing here.
    if object["parent"] != (about["parent"] if about["parent"] in products else None):
        verdict.differ(file, f"parent of {kind}", f"{guid}: {object['parent']}, not {about['parent']}")
    if "elevation" in about:
        verdict.counts["storeys"] += 1
        mine = attributes.get("elevation_m")
        if mine is None or abs(mine - about["elevation"]) > EXTENT_M:
            verdict.differ(file, "elevation", f"{guid}: {mine}, not {about['elevation']}")
    expected = {}
    for name, values in about["sets"].items():
        for key, value in values.items():
            if value is not None:
                names = [f"{kind}.{key}" for kind in UNNAMED if name == "null" and f"{kind}.{key}" in attributes]
                expected[names[0] if names else f"{name}.{key}"] = value
    for key, value in expected.items():
        verdict.counts["properties"] += 1
        if key not in attributes:
            shape = "list" if isinstance(value, list) else "group" if isinstance(value, dict) else "value"
            if value != "":
                verdict.differ(file, f"lost {shape}", f"{guid} {key}: {value!r}")
        elif not same(attributes[key], value):
            verdict.differ(file, "property", f"{guid} {key}: {attributes[key]!r}, not {value!r}")
    for key in attributes:
        if "." in key and key not in expected and not key.startswith("classification."):
            verdict.differ(file, "extra property", f"{guid} {key}: {attributes[key]!r}")
    materials = sorted(set((attributes.get("material") or "").split("; "))) if attributes.get("material") else []
    if materials != [m for m in about["materials"]]:
        verdict.differ(file, "material", f"{guid}: {materials}, not {about['materials']}")


def same(mine, theirs):
    if isinstance(theirs, bool) or isinstance(mine, bool):
        return mine == theirs
    if mine == "unknown" and theirs == "UNKNOWN":
        return True
    if isinstance(mine, (int, float)) and isinstance(theirs, (int, float)):
        return math.isclose(mine, theirs, rel_tol=1e-12, abs_tol=1e-300)
    if isinstance(theirs, list) and not isinstance(mine, list):
        # An enumeration of one value is that value; several stand in one text.
        return mine == ", ".join(str(t) for t in theirs) or len(theirs) == 1 and same(mine, theirs[0])
    return mine == theirs


def main():
    files = [s for s in sources()]
    paths = sorted((s["path"] for s in files), key=lambda p: -os.path.getsize(p))
    with multiprocessing.get_context("spawn").Pool(os.cpu_count(), maxtasksperchild=1) as pool:
        for _ in pool.imap_unordered(answer, paths, chunksize=1):
            pass
    for source in files:
        file, read = source["name"], source["read"]
        said = json.loads(gzip.decompress(cache_of(source["path"]).read_bytes()))
        refused = read.get("refused")
        head, objects = ours(read["ours"]) if "ours" in read else ({"error": refused, "skips": []}, [])
        if "error" in said:
            if not head["error"]:
                verdict.differ(file, "referee failed", said["error"])
            else:
                verdict.counts["files refused by both"] += 1
            continue
        if head["error"]:
            verdict.differ(file, "refused", head["error"])
            continue
        judge(file, head, objects, said)
    verdict.end()


if __name__ == "__main__":
    main()
