"""Every language of the paper: compiled, certified, measured beside the published figures.

May import everything below the face.
"""
