"""Many files at once: each language decided, compiled, certified and checked, with a line of JSON for each.

May import everything below the face, but no command: ``task`` says what is to be done and what came of it, ``work``
does it, ``workers`` are processes that may die, ``results`` is the file of lines, ``batch`` brings them together.
"""
