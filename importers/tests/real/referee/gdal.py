"""Holds features against GDAL (through pyogrio, with the GDAL that it brings); GeoParquet against pyarrow and shapely.

Compared are, per file: number of features, and per feature every attribute and every vertex. Where both agree nothing
is said; a difference names file, record and field. Normalised is only what README.md lists.
"""

import atexit
import collections
import datetime
import decimal
import glob
import json
import math
import os
import pathlib
import shutil
import sqlite3
import tempfile
import warnings

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyogrio
import shapely

from verdict import Verdict, ours, sources

verdict = Verdict("gdal")
# pyogrio says of every file with measures that it leaves them out.
warnings.filterwarnings("ignore", message="Measured")


class Theirs:
    """Features of one file, in order: record number, fields that hold something, shape."""

    def __init__(self):
        self.rows = []


def of_arrow(table, geometry, fid, theirs, record_of, extra=None):
    """Rows of an Arrow table. Columns are taken by number, since names may come twice; the second is `name_2` then."""
    seen = collections.Counter()
    columns, shapes, fids = [], [None] * table.num_rows, None
    for number, name in enumerate(table.column_names):
        seen[name] += 1
        if name == fid and seen[name] == 1:
            fids = table.column(number).to_pylist()
        elif name == geometry:
            shapes = shapely.from_wkb(table.column(number).to_pylist(), on_invalid="ignore")
        else:
            unique = name if seen[name] == 1 or fid == name else f"{name}_{seen[name]}"
            columns.append((unique, table.column(number).to_pylist()))
    for row in range(table.num_rows):
        fields = {name: values[row] for name, values in columns if values[row] is not None}
        theirs.rows.append((record_of(row, fids and fids[row]), fields | (extra or {}), shapes[row]))
    return fids


def read_with_gdal(path, format, encoding):
    theirs = Theirs()
    options = {}
    if format in ("geojson", "geojsonseq"):
        # What looks like a date stays the text that it is in JSON.
        options["DATE_AS_STRING"] = "YES"
    if format == "shapefile" and not any(map(os.path.exists, [path[:-4] + ".shx", path[:-4] + ".SHX"])):
        path = without_index(path)
    if format == "table":
        options |= {"X_POSSIBLE_NAMES": "lon*,x", "Y_POSSIBLE_NAMES": "lat*,y", "AUTODETECT_TYPE": "YES"}
    for layer, kind in layers_of(path):
        if kind is None and format == "geopackage":
            continue
        first = len(theirs.rows)
        try:
            meta, table = pyogrio.read_arrow(path, layer=layer, return_fids=True, **options)
        except pyogrio.errors.GeometryError:
            read_with_sqlite(path, layer, theirs)
            continue
        fid = meta.get("fid_column") or "OGC_FID"
        if fid not in table.column_names:
            fid = "OGC_FID"
        try:
            for column in table.columns:
                column.to_pylist()
        except UnicodeDecodeError:
            # No .cpg and no code page in the .dbf: GDAL hands out bytes. It is told what Groundline found out.
            options["encoding"] = encoding
            verdict.counts["files whose encoding GDAL was told"] += 1
            meta, table = pyogrio.read_arrow(path, layer=layer, return_fids=True, **options)
        geometry = meta["geometry_name"] or "wkb_geometry"
        if format == "shapefile":
            record_of = lambda row, fid: fid + 1
        else:
            record_of = lambda row, fid: first + row + 1
        extra = {"table_name": layer} if format == "geopackage" else None
        fids = of_arrow(table, geometry, fid, theirs, record_of, extra=extra)
        # A table without a key of its own is numbered by GDAL.
        if format == "geopackage" and fid != "OGC_FID":
            for (_, fields, _), value in zip(theirs.rows[first:], fids):
                fields.setdefault(fid, value)
    return theirs


def layers_of(path):
    try:
        return pyogrio.list_layers(path)
    except pyogrio.errors.GeometryError:
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
            return db.execute("SELECT table_name, geometry_type_name FROM gpkg_geometry_columns").fetchall()


def without_index(path):
    """GDAL wants to write the index that is missing, so it gets a copy."""
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder)
    for other in pathlib.Path(path).parent.glob(glob.escape(pathlib.Path(path).stem) + ".*"):
        shutil.copy(other, folder)
    pyogrio.set_gdal_config_options({"SHAPE_RESTORE_SHX": "YES"})
    return os.path.join(folder, os.path.basename(path))


def read_with_sqlite(path, layer, theirs):
    """A table whose kind of geometry pyogrio does not take: SQLite and shapely read it without GDAL."""
    verdict.counts["GeoPackage tables read without GDAL"] += 1
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
        (geometry,) = db.execute("SELECT column_name FROM gpkg_geometry_columns WHERE table_name = ?", [layer]).fetchone()
        cursor = db.execute(f'SELECT * FROM "{layer}"')
        names = [column[0] for column in cursor.description]
        for row in cursor:
            fields = {n: v for n, v in zip(names, row) if v is not None and n != geometry}
            blob = row[names.index(geometry)]
            shape = None
            if blob is not None:
                # Header of 8 bytes and an envelope of 0, 4, 6 or 8 numbers.
                length = 8 + 8 * [0, 4, 6, 6, 8][blob[3] >> 1 & 7]
                shape = shapely.from_wkb(blob[length:], on_invalid="ignore")
            theirs.rows.append((len(theirs.rows) + 1, fields | {"table_name": layer}, shape))


def read_with_pyarrow(path):
    theirs = Theirs()
    table = pq.read_table(path)
    geo = json.loads((pq.read_metadata(path).metadata or {}).get(b"geo", b"{}"))
    geometry = geo.get("primary_column", "geometry")
    # Boxes of the geometries are no attributes; the metadata say which columns they are.
    covering = geo.get("columns", {}).get(geometry, {}).get("covering", {}).get("bbox", {})
    boxes = {where[0] for where in covering.values()}
    # Before 1.1 the metadata did not; the column is a group of four numbers then.
    if "bbox" in table.column_names and pa.types.is_struct(table.schema.field("bbox").type):
        boxes.add("bbox")
    table = table.drop_columns(sorted(boxes & set(table.column_names)))
    of_arrow(table, geometry, None, theirs, lambda row, fid: row + 1)
    return theirs


def same(mine, theirs, format):
    """Whether two values are the same. What is normalised stands in README.md, and how often is counted."""
    if isinstance(theirs, decimal.Decimal):
        theirs = float(theirs)
    if isinstance(mine, bool) and isinstance(theirs, int):
        return int(mine) == int(theirs)
    if isinstance(theirs, bool):
        return False
    if isinstance(mine, (int, float)) and isinstance(theirs, (int, float)):
        return mine == theirs
    if isinstance(mine, str) and isinstance(theirs, str):
        if mine == theirs:
            return True
        equal = "JSON texts" if same_json(mine, theirs) else None
        if format in ("shapefile", "kml") and mine == theirs.strip():
            equal = "texts but for blanks at their ends"
    elif isinstance(theirs, (list, dict, tuple)):
        equal = "lists and groups as JSON" if isinstance(mine, str) and same_nested(as_json(mine), theirs, format) else None
    elif isinstance(theirs, (datetime.datetime, datetime.date, datetime.time)):
        equal = "times" if isinstance(mine, str) and same_time(mine, theirs) else None
    else:
        equal = "numbers that one of both has as text" if as_number(mine) == as_number(theirs) is not None else None
    if equal:
        verdict.counts[f"equal {equal}"] += 1
    return equal is not None


def as_number(value):
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def as_json(text):
    try:
        return json.loads(text)
    except ValueError:
        return None


def same_json(mine, theirs):
    return mine[:1] in ("{", "[") and theirs[:1] in ("{", "[") and as_json(mine) == as_json(theirs) is not None


def same_nested(mine, theirs, format):
    if isinstance(theirs, (list, tuple)) and isinstance(mine, dict):
        mine = list(mine.values())  # an entry of a map is a pair in Arrow
    if isinstance(theirs, (list, tuple)):
        return isinstance(mine, list) and len(mine) == len(theirs) and all(
            same_nested(a, b, format) for a, b in zip(mine, theirs)
        )
    if isinstance(theirs, dict):
        return isinstance(mine, dict) and set(mine) == set(theirs) and all(
            same_nested(mine[k], theirs[k], format) for k in mine
        )
    return mine == theirs or mine is not None and same(mine, theirs, format)


def same_time(mine, theirs):
    if isinstance(theirs, datetime.datetime):
        try:
            read = datetime.datetime.fromisoformat(mine.replace("Z", "+00:00"))
        except ValueError:
            return False
        if read.tzinfo is None or theirs.tzinfo is None:
            return read.replace(tzinfo=None) == theirs.replace(tzinfo=None)
        return read == theirs
    return mine == theirs.isoformat() or mine.replace("/", "-") == theirs.isoformat()


def flat(fields):
    """Members of a group stand as `group.member`."""
    out = {}
    for name, value in fields.items():
        if isinstance(value, dict):
            out |= flat({f"{name}.{key}": v for key, v in value.items() if v is not None})
        else:
            out[name] = value
    return out


def places(shape):
    """Vertices of a shape: x, y and z, or None where it has none. Curves are what GDAL makes of them."""
    if shape is None or shapely.is_empty(shape):
        return np.empty((0, 2)), None
    xy = shapely.get_coordinates(shape)
    z = shapely.get_coordinates(shape, include_z=True)[:, 2] if shapely.has_z(shape) else None
    return xy, z


def compare_fields(file, format, record, objects, fields):
    """Every object of a record carries all fields of the record."""
    for number, object in enumerate(objects):
        mine = collections.defaultdict(list)
        for key, field, origin, value in object["attributes"]:
            if origin == "read" or key == field:
                mine[field].append(value)
        for name, value in fields.items():
            if isinstance(value, float) and not math.isfinite(value):
                continue
            if number == 0:
                verdict.counts["values"] += 1
            if name not in mine:
                # GDAL makes a field of the id that stands outside the properties; here it is the object's.
                if name == "id" and object["id"].split(".")[0].split("~")[0] == str(value).split(".")[0].split("~")[0]:
                    continue
                if format in ("shapefile", "kml", "table") and isinstance(value, str) and not value.strip():
                    verdict.counts["empty texts, which are no values"] += 1
                else:
                    verdict.differ(file, f"lost field {name}", f"record {record}: {value!r}")
            elif not any(same(m, value, format) for m in mine[name]):
                verdict.differ(file, f"field {name}", f"record {record}: {mine[name]!r}, not {value!r}")
        for name, values in mine.items():
            if name not in fields and name:
                verdict.differ(file, f"extra field {name}", f"record {record}: {values!r}")


def compare_places(file, record, objects, shape):
    xy, z = places(shape)
    verdict.counts["vertices"] += len(xy)
    meshes = [o for o in objects if o["shape"] == "mesh"]
    if meshes:
        boxes = np.array([o["box"] for o in meshes])
        mine = np.concatenate([boxes[:, 0].min(axis=0), boxes[:, 1].max(axis=0)])
        theirs = np.concatenate([xy.min(axis=0), [z.min()], xy.max(axis=0), [z.max()]])
        if not np.allclose(mine, theirs, rtol=1e-12, atol=1e-9):
            verdict.differ(file, "box", f"record {record}: {mine}, not {theirs}")
        return
    mine = [v for o in objects for v in o.get("vertices", [])]
    has_height = any(o["is_absolute"] and o["shape"] != "none" for o in objects)
    if has_height and z is None:
        verdict.differ(file, "height", f"record {record}: heights, where the file has none")
    flat_shapes = {"point", "line", "area"}
    if not has_height and z is not None and np.any(z[np.isfinite(z)] != 0) and all(o["shape"] in flat_shapes for o in objects):
        verdict.differ(file, "height", f"record {record}: no heights, where the file has some")
    if has_height and z is not None and all(o["shape"] in flat_shapes for o in objects):
        ours_set = {tuple(v) for v in mine}
        theirs_set = set(zip(xy[:, 0].tolist(), xy[:, 1].tolist(), z.tolist()))
    else:
        ours_set = {tuple(v[:2]) for v in mine}
        theirs_set = set(map(tuple, xy.tolist()))
    if ours_set != theirs_set:
        lost, extra = theirs_set - ours_set, ours_set - theirs_set
        detail = f"record {record}: {len(lost)} lost {sorted(lost)[:2]}, {len(extra)} extra {sorted(extra)[:2]}"
        verdict.differ(file, "vertices", detail)


# Fields that LIBKML makes of elements that say how a shape is to be drawn, which is read into the shape or left out.
KML_DRAWING = {"extrude", "tessellate", "visibility", "altitudeMode", "icon", "drawOrder"}


def ordered_as_kml(objects, theirs):
    """GDAL reads folder by folder, so features are matched by name and occurrence; overlays are no features."""
    numbers = collections.defaultdict(list)
    for object in objects:
        name = " ".join((object["name"] or "").split())
        if object["record"] not in numbers[name]:
            numbers[name].append(object["record"])
    rows = []
    for _, fields, shape in theirs.rows:
        if fields.get("icon") or "drawOrder" in fields and fields["drawOrder"] != -1:
            verdict.counts["overlays, which are no features"] += 1
            continue
        name = " ".join((fields.pop("Name", None) or "").split())
        fields = {k: v for k, v in fields.items() if k not in KML_DRAWING}
        record = numbers[name].pop(0) if numbers[name] else 0
        rows.append((record, fields | ({"name": name} if name else {}), shape))
    theirs.rows = rows


def compare(file, read, theirs):
    head, objects = ours(read["ours"])
    if read["format"] == "kml":
        ordered_as_kml(objects, theirs)
        for object in objects:
            object["attributes"] = [a for a in object["attributes"] if a[1] not in ("folder", "styleUrl")]
    if head["error"]:
        verdict.differ(file, "error", head["error"])
    by_record = collections.defaultdict(list)
    for object in objects:
        by_record[object["record"]].append(object)
    skipped = {s["record"]: s["reason"] for s in head["skips"]}
    verdict.counts["files"] += 1
    seen = set()
    for record, fields, shape in theirs.rows:
        verdict.counts["records"] += 1
        seen.add(record)
        mine = by_record.get(record)
        if mine is None:
            verdict.differ(file, "lost record", f"record {record}: {skipped.get(record, 'no word of it')}")
            continue
        fields = flat(fields)
        compare_fields(file, read["format"], record, mine, fields)
        compare_places(file, record, mine, shape)
    for record in by_record.keys() - seen:
        verdict.differ(file, "extra record", f"record {record}: {skipped.get(record, '')}")


def main():
    for source in sources():
        file, path, read = source["name"], source["path"], source["read"]
        format = read.get("format")
        if format is None and not file.endswith((".shp", ".geojson", ".gpkg", ".fgb", ".parquet", ".kml", ".geoparquet")):
            continue  # JSON and CSV files of other kinds
        try:
            if file.endswith(("parquet",)):
                theirs = read_with_pyarrow(path)
            else:
                encoding = (ours(read["ours"])[0]["encoding"] or [None])[0] if "ours" in read else None
                theirs = read_with_gdal(path, format, encoding)
        except Exception as error:  # whatever a referee throws on a bad file
            if format is not None and not ours(read["ours"])[0]["error"]:
                verdict.differ(file, "referee failed", str(error)[:200])
            else:
                verdict.counts["files refused by both"] += 1
            continue
        if format is None:
            verdict.differ(file, "refused", read["refused"])
            continue
        compare(file, read, theirs)
    verdict.end()


main()
