"""The console script: all of the command line, from the first import on, ends with one line if it is interrupted."""

from __future__ import annotations

import sys


def main() -> None:
    """Run ``scancraft``; see :mod:`.app`."""
    try:
        from .app import main as run

        run()
    except KeyboardInterrupt:
        sys.stderr.write("scancraft: interrupted\n")
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
