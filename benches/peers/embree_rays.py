"""Embree on triangles and rays of files: python3 embree_rays.py TRIANGLES RAYS OUT

Both files hold little-endian f32: nine a triangle, three corners; six a ray, its start and its direction of length 1. Prints one
line when the tree is built; then each line on standard input, "closest" or "occluded", is one round on one thread, answered by
processor and wall seconds of all rays. At the end of input the distances to the closest hits, f32, and behind them a byte for each
ray, 1 where it is occluded, are written to OUT.
"""

import sys
import time
from importlib.metadata import version

import numpy
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene


def main(triangles, rays, out):
    corners = numpy.fromfile(triangles, "<f4").reshape(-1, 3, 3)
    rays = numpy.fromfile(rays, "<f4").reshape(-1, 6)
    starts, directions = (numpy.ascontiguousarray(part) for part in (rays[:, :3], rays[:, 3:]))
    questions = {"closest": "DISTANCE", "occluded": "OCCLUDED"}
    began = time.perf_counter()
    scene = EmbreeScene()
    mesh = TriangleMesh(scene, corners)  # The scene does not keep it alive.
    # The tree is built at the first question.
    scene.run(starts[:1], directions[:1], query="DISTANCE")
    print(f"embreex {version('embreex')}; {time.perf_counter() - began}", flush=True)
    answers = {}
    for line in sys.stdin:
        word = line.strip()
        wall, cpu = time.perf_counter(), time.process_time()
        answers[word] = scene.run(starts, directions, query=questions[word])
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        print(cpu, wall, flush=True)
    with open(out, "wb") as file:
        numpy.asarray(answers["closest"], "<f4").tofile(file)
        # What is met says the number of its mesh, what is free -1.
        (numpy.asarray(answers["occluded"]) >= 0).astype("u1").tofile(file)
    del mesh


if __name__ == "__main__":
    main(*sys.argv[1:4])
