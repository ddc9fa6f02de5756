"""PROJ on the points of a file: python3 pyproj_transform.py SOURCE TARGET POINTS OUT

POINTS holds little-endian f64 x, y, z, one point after the other. Prints one line when it is ready; then every line on
standard input is one round, answered by processor and wall seconds of the transformation alone, in place on numpy arrays
that are copied beforehand. At the end of input the last round's points are written to OUT.
"""

import sys
import time

import numpy
import pyproj
from pyproj import Transformer


def main(source, target, points, out):
    pyproj.network.set_network_enabled(False)
    # A ballpark is allowed: between WGS 84 and CGCS2000 it is that both are equal, as they are taken to be here.
    transformer = Transformer.from_crs(f"EPSG:{source}", f"EPSG:{target}", always_xy=True)
    axes = [numpy.ascontiguousarray(axis) for axis in numpy.fromfile(points, "<f8").reshape(-1, 3).T]
    # Heights take part where both systems have them, as they do in what is compared.
    used = 3 if source in ("4978", "4979") else 2
    # The first call looks up what the later ones only use.
    transformer.transform(*(axis[:1].copy() for axis in axes[:used]), inplace=True)
    print(f"pyproj {pyproj.__version__}, PROJ {pyproj.proj_version_str}", flush=True)
    got = axes
    for _ in sys.stdin:
        work = [axis.copy() for axis in axes[:used]]
        wall, cpu = time.perf_counter(), time.process_time()
        transformer.transform(*work, inplace=True)
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        print(cpu, wall, flush=True)
        got = work + axes[used:]
    numpy.stack(got, axis=1).astype("<f8").tofile(out)


if __name__ == "__main__":
    main(*sys.argv[1:5])
