"""Reads every feature of a file with its attributes through pyogrio (GDAL) and prints how many there are."""

import sys

import pyogrio

_, _, geometries, fields = pyogrio.raw.read(sys.argv[1])
print(len(geometries), len(fields), pyogrio.__gdal_version_string__)
