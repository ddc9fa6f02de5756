"""Writes engine/src/crs/shift.tsv: python3 shifts.py DEFS_RS > shift.tsv

DEFS_RS is src/defs.rs of the crate crs-definitions. For every geographic system of that register: the datum's name, and
either the one Helmert shift to WGS 84 that PROJ uses (without grids) all over the datum's area of use, or a dash where
PROJ takes different ones from place to place or has none. Datums that PROJ takes as equal to WGS 84 are left out.
"""

import math
import random
import re
import sys
import warnings

import pyproj
from pyproj import CRS, Transformer
from pyproj.transformer import TransformerGroup

POINTS = 400


def numbers_of(definition):
    """towgs84 in the position vector convention of the only Helmert step of an inverse path."""
    steps = re.findall(r"(inv )?proj=helmert([^+]*?)(?= step|$)", definition)
    if len(steps) != 1:
        return None
    inverse, text = steps[0]
    value = {k: float(v) for k, v in re.findall(r"(\w+)=(-?[\d.e-]+)", text)}
    if any(k.startswith("d") for k in value) or "t_epoch" in value:
        return None
    numbers = [value.get(k, 0.0) for k in ("x", "y", "z", "rx", "ry", "rz", "s")]
    if "coordinate_frame" in text:
        numbers[3:6] = [-n for n in numbers[3:6]]
    return numbers


def apart_m(a, b):
    worst = 0.0
    for lon_a, lat_a, lon_b, lat_b in zip(*a, *b):
        if math.isfinite(lon_a) and math.isfinite(lon_b):
            worst = max(worst, math.hypot((lon_a - lon_b) * math.cos(math.radians(lat_a)), lat_a - lat_b) * 111320)
        elif math.isfinite(lon_a) != math.isfinite(lon_b):
            return math.inf
    return worst


def row_of(code):
    try:
        crs = CRS.from_epsg(code)
    except pyproj.exceptions.CRSError:
        return None
    if not crs.is_geographic or len(crs.axis_info) != 2 or crs.area_of_use is None:
        return None
    if crs.prime_meridian.longitude != 0 or abs(crs.axis_info[0].unit_conversion_factor - math.radians(1)) > 1e-9:
        return None
    west, south, east, north = crs.area_of_use.bounds
    east += 360 if east < west else 0
    chance = random.Random(code)
    lons = [(chance.uniform(west, east) + 180) % 360 - 180 for _ in range(POINTS)]
    lats = [chance.uniform(south, north) for _ in range(POINTS)]
    try:
        got = Transformer.from_crs(crs, 4326, always_xy=True, allow_ballpark=False).transform(lons, lats)
        group = TransformerGroup(crs, 4326, always_xy=True, allow_ballpark=False).transformers
    except pyproj.exceptions.ProjError:
        return "-", "PROJ has no way without grids"
    if not any(math.isfinite(lon) for lon in got[0]):
        return "-", "PROJ has no way without grids"
    if apart_m(got, (lons, lats)) < 1e-4:
        return None
    for path in group:
        if apart_m(got, path.transform(lons, lats)) > 1e-4:
            continue
        numbers = numbers_of(path.definition)
        if numbers is None:
            continue
        e = crs.ellipsoid
        rf = e.inverse_flattening
        shape = f"+a={e.semi_major_metre} " + (f"+rf={rf}" if rf else f"+b={e.semi_major_metre}")
        keys = ("x", "y", "z", "rx", "ry", "rz", "s")
        helmert = " ".join(f"+{k}={n}" for k, n in zip(keys, numbers))
        own = Transformer.from_pipeline(
            f"+proj=pipeline +step +proj=unitconvert +xy_in=deg +xy_out=rad +step +proj=cart {shape} "
            f"+step +proj=helmert {helmert} +convention=position_vector +step +inv +proj=cart +ellps=WGS84 "
            "+step +proj=unitconvert +xy_in=rad +xy_out=deg"
        )
        zeros = [0.0] * POINTS
        if apart_m(got, own.transform(lons, lats, zeros)[:2]) < 1e-4:
            name = path.description.replace("axis order change (2D) + ", "").replace(" + axis order change (2D)", "")
            accuracy = f"{path.accuracy:g} m" if path.accuracy >= 0 else "an unknown accuracy"
            return ",".join(f"{n:.12g}" for n in numbers), f"{name}, good to about {accuracy}"
    return "-", "PROJ takes other parameters from place to place"


def main(defs):
    warnings.simplefilter("ignore")
    pyproj.network.set_network_enabled(False)
    print(f"# PROJ {pyproj.proj_version_str}, no grids: datum, +towgs84 (position vector) or a dash, what it is.")
    # Of these nothing is published that holds for a city: `datum.rs` says so itself.
    seen = {"Beijing_1954", "Xian_1980", "New_Beijing"}
    for line in open(defs, encoding="utf-8"):
        found = re.match(r'EPSG_(\d+)\|.*?r#"(?:GEOGCS|GEOGCRS).*?(?:DATUM|ENSEMBLE)\["([^"]*)"', line)
        if not found or found.group(2) in seen or found.group(2).startswith("Not_specified"):
            continue
        row = row_of(int(found.group(1)))
        if row is not None:
            seen.add(found.group(2))
            print(found.group(2), *row, sep="\t")


if __name__ == "__main__":
    main(sys.argv[1])
