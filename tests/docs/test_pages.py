"""The Python on the pages and in docstrings runs as written, on smaller data."""

import doctest
import importlib
import pathlib

import pytest
from sybil.document import Document
from sybil.parsers.markdown import PythonCodeBlockParser

ROOT = pathlib.Path(__file__).resolve().parents[2]
# What makes an example small; every one of them must still stand on some page.
SMALLER = {
    "size=64": "size=48",
    "epochs=30": "epochs=3",
    "epochs=10": "epochs=4",
    "epochs=5": "epochs=1",
}
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
# tests/train/test_resume.py resumes; tests/commands/test_own_base.py climbs with the page's base.
SLOW = ["docs/howto/resume.md", "docs/howto/base.md"]
RUNNABLE = [page for page in PAGES if "```python" in page.read_text(encoding="utf-8")]
DOCTESTED = [
    path
    for path in sorted((ROOT / "tljax").rglob("*.py"))
    if ">>> " in path.read_text(encoding="utf-8")
]


def name_of(page):
    return str(page.relative_to(ROOT))


def marked(page):
    return pytest.param(
        page, marks=pytest.mark.slow if name_of(page) in SLOW else (), id=name_of(page)
    )


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras's own
@pytest.mark.parametrize("page", [marked(page) for page in RUNNABLE])
def test_the_python_of_a_page_runs(page, reader):
    text = page.read_text(encoding="utf-8")
    for usual, small in SMALLER.items():
        text = text.replace(usual, small)
    document = Document(text, str(page))
    for region in PythonCodeBlockParser()(document):
        document.add(region)
    examples = list(document.examples())
    assert len(examples) == text.count("```python")
    for example in examples:
        example.evaluate()


def test_some_docstrings_have_examples():
    assert len(DOCTESTED) >= 5


def test_what_makes_examples_small_is_still_there():
    text = "".join(page.read_text(encoding="utf-8") for page in RUNNABLE)
    assert [usual for usual in SMALLER if usual not in text] == []


@pytest.mark.parametrize("path", DOCTESTED, ids=name_of)
def test_the_examples_of_docstrings_run(path):
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    found = doctest.testmod(importlib.import_module(name))
    assert found.attempted > 0
    assert found.failed == 0
