"""Meshes every product of IFC files with IfcOpenShell's iterator on two threads and prints products and triangles."""

import sys

import ifcopenshell
import ifcopenshell.geom

products = triangles = 0
for name in sys.argv[1:]:
    model = ifcopenshell.open(name)
    shapes = ifcopenshell.geom.iterator(ifcopenshell.geom.settings(), model, 2)
    if shapes.initialize():
        while True:
            products += 1
            triangles += len(shapes.get().geometry.faces) // 3
            if not shapes.next():
                break
print(products, triangles)
