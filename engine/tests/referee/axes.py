"""Prints the table NORTH_FIRST of engine/src/serve/features/system.rs: python3 axes.py proj.db

First and last codes of runs of EPSG's projected systems whose first axis runs north. Codes between them that are no projected
systems are passed over.
"""

import sqlite3
import sys

QUERY = """
SELECT CAST(p.code AS INTEGER), lower(a.orientation) FROM projected_crs p
JOIN axis a ON a.coordinate_system_auth_name = p.coordinate_system_auth_name
    AND a.coordinate_system_code = p.coordinate_system_code AND a.coordinate_system_order = 1
WHERE p.auth_name = 'EPSG' ORDER BY 1
"""


def main():
    runs, is_north = [], False
    for code, orientation in sqlite3.connect(sys.argv[1]).execute(QUERY):
        was_north, is_north = is_north, orientation == "north"
        if is_north and was_north:
            runs[-1][1] = code
        elif is_north:
            runs.append([code, code])
    for first, last in runs:
        print(f"    ({first}, {last}),")


if __name__ == "__main__":
    main()
