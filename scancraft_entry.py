"""The console script: it imports nothing of scancraft before an interruption is told in one line."""

import sys


def main() -> None:
    """Run ``scancraft``."""
    try:
        from scancraft.cli.entry import main as run

        run()
    except KeyboardInterrupt:
        sys.stderr.write("scancraft: interrupted\n")
        raise SystemExit(130) from None
