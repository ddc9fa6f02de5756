"""Writes engine/src/crs/height.tsv: python3 heights.py > height.tsv

Rows `v code unit_m up|down name` of the height systems of EPSG, and `c code horizontal vertical name` of the compound
ones.
"""

import pyproj
from pyproj import CRS
from pyproj.database import query_crs_info
from pyproj.enums import PJType


def codes(kind):
    return sorted(int(info.code) for info in query_crs_info("EPSG", kind) if info.code.isdigit())


def main():
    print(f"# PROJ {pyproj.proj_version_str}")
    for code in codes(PJType.VERTICAL_CRS):
        crs = CRS.from_epsg(code)
        axis = crs.axis_info[0]
        print("v", code, f"{axis.unit_conversion_factor:.15g}", axis.direction, crs.name, sep="\t")
    for code in codes(PJType.COMPOUND_CRS):
        crs = CRS.from_epsg(code)
        parts = [part.to_epsg(100) or part.to_epsg() for part in crs.sub_crs_list]
        if all(parts):
            print("c", code, *parts, crs.name, sep="\t")


if __name__ == "__main__":
    main()
