"""The site, built by Sphinx from these pages and the docstrings.

    pip install -e ".[docs]" && python -m sphinx -W --keep-going -n docs build/docs

Any warning fails the build: a link or a name that is not there, a notebook that stops.
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))
os.environ.setdefault("TQDM_DISABLE", "1")  # no progress bars in the notebook's outputs

project = "tljax"
copyright = "the tljax authors, Apache License 2.0"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.viewcode", "plain_docstrings"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "tljax"
html_static_path = ["_static"]
html_css_files = ["wide.css"]
html_theme_options = {
    f"{shade}_css_variables": {"code-font-size": "78%"} for shade in ("light", "dark")
}
html_copy_source = False

myst_enable_extensions = ["colon_fence", "attrs_inline"]
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_in_temp = True  # what the notebook writes does not land beside the pages
nb_execution_timeout = 3600  # of a cell, on a machine with other work
nb_execution_raise_on_error = True
nb_merge_streams = True
nb_output_stderr = "remove"  # on a busy machine XLA complains of slow compilation
nb_render_markdown_format = "myst"  # the table of the rungs

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True}
python_maximum_signature_line_length = 100
python_use_unqualified_type_names = True
add_module_names = False
# A type without a page of its own may stand in a signature; tests/docs looks up the names in texts.
nitpick_ignore_regex = [(r"py:.*", r".*")]
