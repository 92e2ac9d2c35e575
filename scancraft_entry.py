"""The console script: it imports nothing of scancraft before an interruption is told in one line.

It stands beside the folders, not in one: to import a module of a package Python runs ``scancraft/__init__.py`` first,
and Ctrl-C in there would end in a traceback.
"""

import sys


def main() -> None:
    """Run ``scancraft``."""
    try:
        from scancraft.cli.entry import main as run

        run()
    except KeyboardInterrupt:
        sys.stderr.write("scancraft: interrupted\n")
        raise SystemExit(130) from None
