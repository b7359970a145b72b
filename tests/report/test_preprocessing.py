"""The page's line on preprocessing."""

import json

import pytest

from tljax import report
from tljax.errors import InputError


def told(folder, write, **found) -> str:
    """The page of a run that found this."""
    write(folder)
    path = folder / "results.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | found))
    return report.write_report(folder)[-1].read_text()


def test_the_page_names_it_and_warns(tmp_path, write):
    assert "Preprocessing" not in told(tmp_path, write)
    found = {"told": "BGR, not <scaled>", "alarm": ""}
    text = told(tmp_path, write, preprocessing=found)
    assert "Preprocessing of the base: BGR, not &lt;scaled&gt;.</p>" in text
    assert "Warning" not in text
    text = told(tmp_path, write, preprocessing=found | {"alarm": "it <is> wrong"})
    assert text.index("Warning: it") < text.index("The ladder")
    assert "<b>Warning: it &lt;is&gt; wrong</b>" in text


@pytest.mark.parametrize("found", [3, {"told": "x"}, {"told": None, "alarm": ""}])
def test_what_is_garbled_is_named(tmp_path, write, found):
    with pytest.raises(InputError, match=r"^results\.json.*'(preprocessing|alarm|told)'"):
        told(tmp_path, write, preprocessing=found)
