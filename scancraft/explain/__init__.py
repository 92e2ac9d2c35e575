"""Pictures and pages: cascades, weights, memories, and one page that runs a model offline.

May import everything below the face.
"""
