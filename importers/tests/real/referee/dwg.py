"""Counts the entities of model space in drawings with ezdwg, a DWG reader that shares no code with Groundline's, and
says where those lie that have no curve: one JSON object a file, as kind → [count, box]."""

import json
import sys

import ezdwg


def corners(entity):
    """Places that the entity's box is spanned by; none for kinds whose box takes more than that."""
    own = entity.dxf
    match entity.dxftype:
        case "LINE":
            return [own["start"], own["end"]]
        case "CIRCLE":
            (x, y, z), r = own["center"], own["radius"]
            return [(x - r, y - r, z), (x + r, y + r, z)]
        case "LWPOLYLINE" if not any(own["bulges"]):
            return own["points"]
        case "POINT":
            return [own["location"]]
        case "TEXT" | "MTEXT":
            return [own["insert"]] if not own.get("halign") and not own.get("valign") else []
    return []


def read(path):
    found = {}
    for entity in ezdwg.read(path).modelspace().query("*"):
        count, places, is_whole = found.get(entity.dxftype, (0, [], True))
        own = corners(entity)
        found[entity.dxftype] = (count + 1, places + list(own), is_whole and bool(own))
    return {
        kind: [count, [f(p[axis] for p in places) for f in (min, max) for axis in (0, 1)] if is_whole else None]
        for kind, (count, places, is_whole) in found.items()
    }


for path in sys.argv[1:]:
    print(json.dumps(read(path)))
