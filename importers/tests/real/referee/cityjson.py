"""Holds city models against cjio (objects, types, attributes, levels of detail) and against areas computed here.

The area of an object is that of its flat surfaces by Newell's sum, holes taken off, without any triangles: it needs no
tessellation, so that one that overlaps or leaves gaps is seen.
"""

import collections
import json

import numpy as np
from cjio import cityjson

from verdict import Verdict, ours, sources

verdict = Verdict("cityjson")
AREA = 0.001
AREA_M2 = 1e-4
EXTENT = 1e-6

DEPTH = {"MultiSurface": 1, "CompositeSurface": 1, "Solid": 2, "MultiSolid": 3, "CompositeSolid": 3}


class Model:
    """Objects and vertices of a file, or of one line of a sequence."""

    def __init__(self, member, header):
        self.objects = member.get("CityObjects", {})
        transform = header.get("transform") or {"scale": [1, 1, 1], "translate": [0, 0, 0]}
        corners = np.array(member.get("vertices") or np.empty((0, 3)), dtype=float).reshape(-1, 3)
        self.corners = corners * transform["scale"] + transform["translate"]
        self.templates = header.get("geometry-templates", {})


def models(path):
    """One of a file, one a line of a sequence."""
    with open(path, encoding="utf-8-sig") as file:
        text = file.read()
    try:
        json.loads(text)
    except json.JSONDecodeError:
        lines = [json.loads(line) for line in text.splitlines() if line.strip()]
        if lines[0].get("type") != "CityJSON":
            raise ValueError("a sequence without its header") from None
        header = lines[0]
        members = lines if header.get("CityObjects") else lines[1:]
        return [(number, Model(line, header)) for number, line in enumerate(members, 1)]
    with open(path, encoding="utf-8-sig") as file:
        j = cityjson.reader(file=file, ignore_duplicate_keys=True).j
    if j.get("type") != "CityJSON":
        raise ValueError("no CityJSON")
    return [(0, Model(j, j))]


def lod_of(geometry, model):
    if geometry["type"] == "GeometryInstance":
        geometry = model.templates["templates"][geometry["template"]]
    try:
        return float(geometry.get("lod", 0))
    except (TypeError, ValueError):
        return 0.0


def surfaces_of(geometry, model):
    """Rings of every surface, as places."""
    corners = model.corners
    kind = geometry["type"]
    if kind == "GeometryInstance":
        template = model.templates["templates"][geometry["template"]]
        matrix = np.array(geometry["transformationMatrix"], dtype=float).reshape(4, 4)
        own = np.array(model.templates["vertices-templates"], dtype=float)
        corners = own @ matrix[:3, :3].T + matrix[:3, 3] + model.corners[geometry["boundaries"][0]]
        geometry, kind = template, template["type"]
    if kind not in DEPTH:
        return []
    lists = geometry.get("boundaries") or []
    for _ in range(DEPTH[kind] - 1):
        lists = [inner for outer in lists for inner in outer]
    whole = [s for s in lists if all(0 <= i < len(corners) for ring in s for i in ring) and s and len(s[0]) > 2]
    verdict.counts["surfaces with corners that are not there"] += len(lists) - len(whole)
    return [[corners[ring] for ring in surface] for surface in whole]


def newell(ring):
    """Twice the area of a ring as a vector, relative to its first corner."""
    p = ring - ring[0]
    return np.cross(p, np.roll(p, -1, axis=0)).sum(axis=0)


def measure(object, model):
    """Area and box of the highest level of detail."""
    shaped = [g for g in object.get("geometry", []) if surfaces_of(g, model)]
    if not shaped:
        return None
    lod = max(lod_of(g, model) for g in shaped)
    surfaces = [s for g in shaped if lod_of(g, model) == lod for s in surfaces_of(g, model)]
    area = 0.0
    for rings in surfaces:
        normals = [newell(ring) for ring in rings if len(ring)]
        area += (np.linalg.norm(normals[0]) - sum(np.linalg.norm(n) for n in normals[1:])) / 2
    outers = np.concatenate([rings[0] for rings in surfaces])
    return lod, float(area), outers.min(axis=0), outers.max(axis=0)


def flat(members, prefix=""):
    out = {}
    for name, value in members.items():
        if isinstance(value, dict):
            out |= flat(value, f"{prefix}{name}.")
        elif value is not None:
            out[prefix + name] = value
    return out


def same(mine, theirs):
    if isinstance(theirs, list):
        return isinstance(mine, str) and json.loads(mine) == theirs
    return mine == theirs and isinstance(mine, bool) == isinstance(theirs, bool)


def judge(file, head, objects, read):
    mine = collections.defaultdict(list)
    skipped = " ".join(s["reason"] for s in head["skips"])
    for object in objects:
        mine[object["id"]].append(object)
    verdict.counts["files"] += 1
    seen = set()
    for _, model in read:
        parts = part_lods(model)
        for id, object in model.objects.items():
            verdict.counts["objects"] += 1
            pieces = mine.get(id) or [o for key, list in mine.items() if key.rsplit(".", 1)[0] == id for o in list]
            seen |= {piece["id"] for piece in pieces}
            if not pieces:
                if id not in skipped:
                    verdict.differ(file, f"lost {object['type']}", id)
                continue
            compare_facts(file, id, object, pieces[0])
            compare_shape(file, id, measure(object, model), pieces, parts.get(id), head)
    for id in mine.keys() - seen:
        verdict.differ(file, "extra", id)


def part_lods(model):
    """By object: the highest level of detail of its parts."""
    parts = {}
    for object in model.objects.values():
        if object["type"].endswith("Part"):
            lods = [lod_of(g, model) for g in object.get("geometry", []) if surfaces_of(g, model)]
            for parent in object.get("parents", []) if lods else []:
                parts[parent] = max(parts.get(parent, 0.0), *lods)
    return parts


def compare_facts(file, id, object, piece):
    attributes = collections.defaultdict(list)
    for key, field, origin, value in piece["attributes"]:
        attributes[field if field not in ("type", "lod") or key == field else key].append(value)
    kind = object["type"].lstrip("+")
    if attributes["citygml_type"] != [kind]:
        verdict.differ(file, "type", f"{id}: {attributes['citygml_type']}, not {kind}")
    parent = (object.get("parents") or [None])[0]
    if piece["parent"] != parent:
        verdict.differ(file, "parent", f"{id}: {piece['parent']}, not {parent}")
    for name, value in flat(object.get("attributes") or {}).items():
        verdict.counts["attributes"] += 1
        if not any(same(m, value) for m in attributes.get(name, [])):
            verdict.differ(file, f"attribute {name}", f"{id}: {attributes.get(name)!r}, not {value!r}")


def compare_shape(file, id, measured, pieces, parts_lod, head):
    meshes = [p for p in pieces if p["shape"] == "mesh"]
    if measured is None:
        if meshes:
            verdict.differ(file, "shape of nothing", id)
        return
    lod, area, low, high = measured
    if not meshes:
        # A building that is only outlined while its parts are modelled is drawn by its parts.
        if parts_lod is None or int(parts_lod) <= int(lod):
            if all(p["shape"] == "none" for p in pieces):
                verdict.differ(file, "no shape", id)
            else:
                verdict.counts["objects that are no meshes"] += 1
        return
    verdict.counts["shapes"] += 1
    said = {value for key, _, _, value in pieces[0]["attributes"] if key == "lod"}
    if said and float(next(iter(said))) != lod:
        verdict.differ(file, "lod", f"{id}: {said}, not {lod}")
    boxes = np.array([m["box"] for m in meshes])
    gap = max(np.abs(boxes[:, 0].min(axis=0) - low).max(), np.abs(boxes[:, 1].max(axis=0) - high).max())
    if not gap <= EXTENT:
        verdict.differ(file, "extent", f"{id}: {gap:.6f}")
    got = sum(m["area"] for m in meshes)
    if abs(got - area) > max(AREA * area, AREA_M2):
        verdict.differ(file, "area", f"{id}: {got:.4f}, not {area:.4f} ({got / area - 1:+.2%})")


def main():
    for source in sources():
        file, read = source["name"], source["read"]
        if "refused" in read and not ("city" in file and file.endswith((".city.json", ".city.jsonl", "cityjson"))) and "cityjson/" not in file:
            continue  # JSON of other kinds
        head, objects = ours(read["ours"]) if "ours" in read else ({"error": read["refused"], "skips": []}, [])
        try:
            theirs = models(source["path"])
        except Exception as error:  # whatever a referee throws on a bad file
            if head["error"]:
                verdict.counts["files refused by both"] += 1
            else:
                verdict.differ(file, "referee failed", str(error)[:200])
            continue
        if head["error"]:
            verdict.differ(file, "refused", head["error"])
            continue
        judge(file, head, objects, theirs)
    verdict.end()


main()
