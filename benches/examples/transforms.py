"""PROJ (pyproj) on the points of `transforms.rs`: millions of points a second of CPU time."""

import time

import numpy as np
import pyproj

COUNT = 2_000_000
ROUNDS = 5


def city():
    chance = np.random.default_rng(20131122)
    x, y, z = (chance.random(COUNT) for _ in range(3))
    return 520_000 + 30_000 * x, 3_980_000 + 30_000 * y, 50 * z


def timed(way, *columns):
    best = float("inf")
    for _ in range(ROUNDS):
        work = [column.copy() for column in columns]
        start = time.process_time()
        out = way.transform(*work, inplace=True)
        best = min(best, time.process_time() - start)
    return COUNT / best / 1e6, out


def main():
    pyproj.network.set_network_enabled(False)
    x, y, z = city()
    _, (lon, lat) = timed(pyproj.Transformer.from_crs(4549, 4326, always_xy=True), x, y)
    for source, target, columns in [
        (4549, 4326, (x, y)),
        (4549, 3857, (x, y)),
        (4326, 4549, (lon, lat)),
        (4979, 4978, (lon, lat, z)),
    ]:
        way = pyproj.Transformer.from_crs(source, target, always_xy=True)
        rate, out = timed(way, *columns)
        print(f"PROJ {pyproj.proj_version_str} EPSG:{source} to {target}: {rate:.1f} M points/s")
        if target == 4978:
            rate, _ = timed(pyproj.Transformer.from_crs(4978, 4979, always_xy=True), *out)
            print(f"PROJ {pyproj.proj_version_str} EPSG:4978 to 4979: {rate:.1f} M points/s")


if __name__ == "__main__":
    main()
