"""scancraft: compile formal languages to the weights of real Mamba state-space models."""

from pathlib import Path

# In a checkout the folders automata/, compiler/ and models/ stand beside this one. Python started in the root of a
# checkout finds this folder before the installed package; this line lets it find those three as well.
_ROOT = Path(__file__).resolve().parent.parent
if (_ROOT / "pyproject.toml").is_file() and (_ROOT / "automata").is_dir():
    __path__.append(str(_ROOT))
