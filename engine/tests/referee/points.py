"""Reference values of PROJ for the test `crs_referee`: python3 points.py OUT_DIR

Writes systems.json (what each system is, its texts in three flavours) and points.bin: for each system, COUNT rows of
eight little-endian f64: longitude and latitude on the system's own datum, x and y of them; longitude and latitude of
WGS 84, x and y of them (NaN where PROJ has no path without grids); for EPSG:4978 longitude, latitude, height, X, Y, Z.
"""

import json
import math
import random
import struct
import sys
from pathlib import Path

import pyproj
from pyproj import CRS, Transformer
from pyproj.enums import WktVersion
from pyproj.exceptions import CRSError

COUNT = 2500
SEED = 20131122

CODES = [
    # CGCS2000: 3 and 6 degrees, with and without the zone's number before the easting.
    4490, 4513, 4526, 4528, 4533, 4534, 4547, 4549, 4491, 4498, 4499, 4501, 4502, 4509,
    # Beijing 1954 and Xian 1980, the same.
    2401, 2415, 2433, 21420, 21460, 2334, 2338, 2349, 2364, 2385,
    # UTM, UPS and web maps.
    32601, 32633, 32651, 32756, 32760, 32661, 32761, 3857, 3395,
    # Transverse Mercator of countries.
    25832, 25833, 2193, 6677, 2443, 2326, 27700, 31256, 3067, 3763, 2180, 3006, 5186, 3414, 3826, 2039, 7856, 31467,
    2100, 31982, 2048,
    # Cones.
    2263, 2229, 2154, 3347, 3812, 31370, 5070, 3577, 2062, 27572, 5513, 5514,
    # Azimuthal.
    28992, 3031, 3413, 3035, 6931,
    # Oblique cylinders, and the rest.
    2056, 21781, 23700, 3375, 29873, 26931, 3078, 5880, 28191, 3832, 5641,
    # From the middle of the Earth.
    4978,
]

FLAVOURS = {"esri": WktVersion.WKT1_ESRI, "ogc": WktVersion.WKT1_GDAL, "wkt2": WktVersion.WKT2_2019}


def text_of(crs, version):
    try:
        return crs.to_wkt(version)
    except CRSError:
        return None


def nan(value):
    return value if math.isfinite(value) else math.nan


def rows_of(crs, code):
    chance = random.Random(SEED + code)
    west, south, east, north = crs.area_of_use.bounds
    lons = [chance.uniform(west, east) for _ in range(COUNT)]
    lats = [chance.uniform(south, north) for _ in range(COUNT)]
    if crs.is_geocentric:
        heights = [chance.uniform(-500.0, 9000.0) for _ in range(COUNT)]
        xyz = Transformer.from_crs(4979, crs, always_xy=True).transform(lons, lats, heights)
        return zip(lons, lats, heights, *xyz, [math.nan] * COUNT, [math.nan] * COUNT)
    base = CRS.from_wkt(crs.geodetic_crs.to_wkt())
    # Degrees east of the base's own prime meridian, whatever its unit of angles.
    unit = math.degrees(base.axis_info[0].unit_conversion_factor)
    meridian = base.prime_meridian
    zero = meridian.longitude * math.degrees(meridian.unit_conversion_factor)
    own = Transformer.from_crs(base, crs, always_xy=True, allow_ballpark=False)
    x, y = own.transform([(lon - zero) / unit for lon in lons], [lat / unit for lat in lats])
    try:
        world = Transformer.from_crs(4326, crs, always_xy=True, allow_ballpark=False)
        world_x, world_y = world.transform(lons, lats)
    except pyproj.exceptions.ProjError:
        world_x = world_y = [math.nan] * COUNT
    return zip([lon - zero for lon in lons], lats, map(nan, x), map(nan, y), lons, lats, map(nan, world_x), map(nan, world_y))


def main(out):
    pyproj.network.set_network_enabled(False)
    systems = []
    with open(out / "points.bin", "wb") as points:
        for code in CODES:
            crs = CRS.from_epsg(code)
            systems.append(
                {
                    "epsg": code,
                    "name": crs.name,
                    "is_geocentric": crs.is_geocentric,
                    "texts": {} if crs.is_geocentric else {k: text_of(crs, v) for k, v in FLAVOURS.items()},
                }
            )
            for row in rows_of(crs, code):
                points.write(struct.pack("<8d", *row))
    about = {"pyproj": pyproj.__version__, "proj": pyproj.proj_version_str, "count": COUNT, "systems": systems}
    (out / "systems.json").write_text(json.dumps(about, ensure_ascii=False), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
