"""Holds scans against laspy (with lazrs): every point's place, colour, intensity and class, in the order of the file."""

import re

import laspy
import numpy as np

from verdict import Verdict, sources

verdict = Verdict("las")

# What the model of a scan does not keep; counted, so that the account says how much it is.
LEFT_OUT = [
    "return_number", "number_of_returns", "scan_direction_flag", "edge_of_flight_line", "synthetic", "key_point",
    "withheld", "overlap", "scanner_channel", "scan_angle_rank", "scan_angle", "user_data", "point_source_id",
    "gps_time", "nir", "wavepacket_index",
]  # fmt: skip


def columns(read):
    """Places, colours, intensities and classes as the test wrote them."""
    lengths = read["more"]["lengths"]
    with open(read["ours"], "rb") as file:
        parts = [file.read(length) for length in lengths]
    kinds = [("<f8", 3), ("u1", 3), ("<u2", 1), ("u1", 1)]
    return [np.frombuffer(part, kind).reshape(-1, width) for part, (kind, width) in zip(parts, kinds)]


def unit_of_height(warnings):
    """Metres in a unit of z, where Groundline says that it converted it."""
    for warning in warnings:
        if warning["code"].startswith("height_unit"):
            return float(re.search(r"([0-9.]+) m\b", warning["message"]).group(1))
    return 1.0


def compare(file, read, las):
    if read["more"]["error"]:
        verdict.differ(file, "error", read["more"]["error"])
        return
    places, colours, intensities, classes = columns(read)
    verdict.counts["files"] += 1
    verdict.counts["points"] += len(las.points)
    if len(places) != len(las.points):
        verdict.differ(file, "count", f"{len(places)}, not {len(las.points)}")
        return
    if not len(places):
        return
    unit = np.array([1, 1, unit_of_height(read["more"]["warnings"])])
    theirs = np.array(las.xyz) * unit
    # Half a step of the file's own grid: nearer two numbers of the file cannot be.
    gap = np.abs(places - theirs) / (np.array(las.header.scales) * unit)
    verdict.counts["coordinates equal to the last bit"] += int((places == theirs).sum())
    if not gap.max() <= 0.5:
        worst = int(gap.max(axis=1).argmax())
        verdict.differ(file, "place", f"point {worst + 1}: {places[worst]}, not {theirs[worst]}")
    names = set(las.point_format.dimension_names)
    if "red" in names:
        rgb = np.stack([las.red, las.green, las.blue], axis=1).astype(np.uint16)
        # 16 bits are cut to 8, unless the writer used only 8 of them.
        narrow = rgb if rgb.max() <= 255 else rgb >> 8
        unequal(file, "colour", colours, narrow)
    unequal(file, "intensity", intensities[:, 0], np.array(las.intensity))
    unequal(file, "class", classes[:, 0], np.array(las.classification))
    for name in LEFT_OUT:
        if name in names and np.any(np.array(las[name]) != 0):
            verdict.counts[f"files with {name}, which is left out"] += 1
    for name in las.point_format.extra_dimension_names:
        verdict.counts["files with extra bytes, which are left out"] += 1
        break


def unequal(file, what, mine, theirs):
    wrong = np.flatnonzero((mine != theirs).reshape(len(mine), -1).any(axis=1))
    if len(wrong):
        first = wrong[0]
        verdict.differ(file, what, f"{len(wrong)} points, first {first + 1}: {mine[first]}, not {theirs[first]}")


def main():
    for source in sources():
        file, read = source["name"], source["read"]
        try:
            las = laspy.read(source["path"])
        except Exception as error:  # whatever a referee throws on a bad file
            if "ours" in read and not read["more"]["error"]:
                verdict.differ(file, "referee failed", str(error)[:200])
            else:
                verdict.counts["files refused by both"] += 1
            continue
        if "refused" in read:
            verdict.differ(file, "refused", read["refused"])
            continue
        compare(file, read, las)
    verdict.end()


main()
