"""The documentation site: ``make docs`` writes it to ``docs/_build/html``, and executes every code cell."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "_ext"))

# For the kernels that execute the pages.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")
os.environ.setdefault("COLUMNS", "120")
os.environ.setdefault("PYTHONWARNINGS", "ignore:IProgress not found")  # tqdm, about a widget that no page uses

# Kernels start without anybody's own settings, keep quiet about how they are connected, and draw SVGs.
SETTINGS = tempfile.TemporaryDirectory(prefix="scancraft-docs-")
PROFILE = Path(SETTINGS.name) / "profile_default"
PROFILE.mkdir()
KERNEL = """c = get_config()
c.IPKernelApp.log_level = 40
c.InlineBackend.figure_formats = {"svg"}
"""
(PROFILE / "ipython_kernel_config.py").write_text(KERNEL, encoding="utf-8")
os.environ["IPYTHONDIR"] = SETTINGS.name
logging.getLogger("traitlets").setLevel(logging.WARNING)

project = "scancraft"
author = "the scancraft developers"
copyright = "2026, the scancraft developers; Apache-2.0"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "mathml", "api", "pictures", "notebooks"]
exclude_patterns = ["_build", "**.ipynb_checkpoints"]
root_doc = "index"

# Pages and their cells.
myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence", "deflist", "attrs_inline"]
myst_heading_anchors = 4
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_in_temp = True
nb_execution_timeout = 120
nb_output_stderr = "show"
nb_merge_streams = True
nb_code_prompt_show = "Show the solution"
nb_code_prompt_hide = "Hide the solution"

# The reference.
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_class_signature = "separated"
autodoc_inherit_docstrings = False
autodoc_preserve_defaults = True
autodoc_type_aliases = {"ArrayLike": "numpy.typing.ArrayLike"}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
# Annotations name classes without their modules, and two modules may each have a `Step`; only that is kept quiet.
suppress_warnings = ["ref.python"]

# The site: nothing in it is fetched from elsewhere.
html_theme = "furo"
html_title = "scancraft"
html_math_renderer = "mathml"
html_static_path = ["_static"]
html_css_files = ["scancraft.css"]
html_copy_source = False
html_show_sphinx = False
