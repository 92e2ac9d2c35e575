"""Pictures of automata and of what is made in layers, as SVG text: geometry, names, and drawing.

May import only :mod:`scancraft.automata`. Nothing here needs matplotlib.
"""
