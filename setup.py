"""The long description for PyPI: the README, whose links and pictures lead into the repository, which PyPI has not.

Everything else is in pyproject.toml.
"""

import re
from pathlib import Path

from setuptools import setup


def described(readme: str) -> str:
    """Without pictures, and with links only to the web; the others become their text."""
    without = re.sub(r"^(!\[[^\]]*\]\((?!https?:)[^)]*\)|<img [^>]*>)\n+", "", readme, flags=re.MULTILINE)
    return re.sub(r"\[([^\]]*)\]\((?!https?:|#)[^)]*\)", r"\1", without)


setup(
    long_description=described(Path(__file__).with_name("README.md").read_text(encoding="utf-8")),
    long_description_content_type="text/markdown",
)
