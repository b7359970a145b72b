"""The notebook of the ladder, and the site around it."""

import ast
import json
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT / "docs" / "ladder.ipynb"


def test_the_notebook_holds_no_outputs():
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert len(code) > 10
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)


def test_the_notebook_finds_what_it_imports():
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    source = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    imports = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom)]
    ours = [
        node for node in imports if str(node.module).partition(".")[0] in ("tljax", "experiments")
    ]
    assert len(ours) > 4
    for node in ours:
        exec(compile(ast.Module([node], []), str(NOTEBOOK), "exec"), {})


@pytest.mark.slow
def test_the_notebook_runs(tmp_path, monkeypatch):
    nbclient = pytest.importorskip("nbclient", reason='the notebook wants pip install -e ".[docs]"')
    import nbformat

    monkeypatch.setenv("LADDER_BUDGET", "0.1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    client = nbclient.NotebookClient(
        notebook, timeout=3600, resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    outputs = [
        output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs
    ]
    tables = [
        output.data["text/markdown"]
        for output in outputs
        if "text/markdown" in output.get("data", {})
    ]
    assert len(tables) == 1
    rungs = [line.split("|")[1].strip() for line in tables[0].splitlines() if line.startswith("| ")]
    assert rungs[1:] == [":--", "scratch", "features", "frozen", "finetune", "differential"]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 5


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path):
    """All but the outputs of the notebook."""
    pytest.importorskip("myst_nb", reason='the site wants pip install -e ".[docs]"')
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-W",
        "--keep-going",
        "-n",
        "-q",
        "-D",
        "nb_execution_mode=off",
    ]
    where = [str(ROOT / "docs"), str(tmp_path)]
    done = subprocess.run(
        [*command, *where],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    assert "fine_tune" in (tmp_path / "api" / "recipe.html").read_text(encoding="utf-8")
    index = (tmp_path / "searchindex.js").read_text(encoding="utf-8")
    found = json.loads(index.removeprefix("Search.setIndex(").removesuffix(")"))
    pages = {
        title.lower(): found["docnames"][where[0][0]] for title, where in found["alltitles"].items()
    }
    # What a query finds first: a title, or a name of the API, that has all of it.
    assert pages["train on my own photos"] == "howto/photographs"
    assert pages["a learning rate, by many runs in one program"] == "gallery"
    assert {"freez", "unfreez", "learn", "rate", "photo"} <= found["terms"].keys()


def test_defaults_in_signatures_are_python(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs" / "_ext")
    import plain_docstrings

    told = "(on_epoch: ~a.B = <function ignore>, slot=<function <lambda>>, store=<factory>)"
    found = plain_docstrings._named_defaults(None, "function", "f", None, None, told, None)
    assert found == ("(on_epoch: ~a.B = ignore, slot=..., store=...)", None)
