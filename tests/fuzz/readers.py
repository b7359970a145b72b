"""Readers of what tljax itself writes: each says what came of a file,
and fails where it is not what was written.
"""

import contextlib
import html.parser
import io
import pathlib
import re
import sys
import zipfile

import numpy as np

from tljax.errors import InputError
from tljax.runs.results import by_rung, read_results

ROWS = np.random.default_rng(0).random((6, 2, 3)).astype(np.float32)


def features():
    """The file `features.h5`; its part lies beside it. What is read or computed is the same."""
    import h5py  # noqa: F401  # its own import starts `uname`: no case's doing

    from tljax.inputs import feature_store

    def read(path):
        wanted, file = (
            feature_store.Rows("train", {"data": "d"}, 6, (2, 3)),
            path.parent / "features.h5",
        )
        found = feature_store.stored(file, wanted, compute=lambda a, b: ROWS[a:b], block=2)
        np.testing.assert_array_equal(found, ROWS)

    return read


def checkpoint():
    """The folder of a step."""
    import jax
    import orbax.checkpoint  # noqa: F401

    from tljax.files import orbax_store
    from tljax.train.step import State

    def read(path):
        target = State(
            *jax.eval_shape(
                lambda: (np.int32(0), {"a": {"k": np.zeros((4, 4), np.float32)}}, {}, {})
            )
        )
        state, meta = orbax_store.restore(path.parent, int(path.name), target)
        assert int(state.step) == 7
        np.testing.assert_array_equal(state.params["a"]["k"], np.arange(16).reshape(4, 4))
        assert meta == {"note": "mine"}

    return read


def run():
    """The folder of a finished run, asked about a photograph."""
    import jax  # noqa: F401
    import orbax.checkpoint  # noqa: F401

    from tljax.models import ops
    from tljax.runs import predict

    ops.compiler_options = lambda: {"xla_backend_optimization_level": 0}

    def read(path):
        trained = predict.load_run(path)
        assert len(trained.classes) >= 2

    predict.load_run(pathlib.Path(sys.argv[2]))  # compiled, imported
    return read


def arrays():
    """The folder of a run: what its rungs said of the photographs, those kept for the page,
    a sweep's calls.
    """
    from tljax import report
    from tljax.config import TRAIN_ALL, Stage
    from tljax.report.pages import gallery, masks, photographs
    from tljax.runs import predictions
    from tljax.sweep.finished_calls import Kept

    def read(path):
        report.differences(path)
        results = report.read_results(path / "results.json")
        for found in predictions.held_out(path, results)[1].values():
            assert np.isfinite(found.probabilities).all()
        Page(convert_charrefs=True).feed("\n".join(gallery.sections(photographs.read(path))))
        drawn = masks.sections(masks.read(path), {}, split="validation", workdir=path)
        Page(convert_charrefs=True).feed("\n".join(drawn))
        with contextlib.redirect_stdout(io.StringIO()) as said:
            calls = Kept(path / "calls", about={}).read(Stage("tiny", TRAIN_ALL, lr=0.1, epochs=2))
        for one in calls.values():
            assert one.train["loss"].shape == (2,)
        if said.getvalue():  # it was removed, for its members to be trained again
            raise InputError(said.getvalue().removesuffix("\n"))

    read(pathlib.Path(sys.argv[2]))  # imported
    return read


def archive():
    """An archive of photographs, as it is taken apart."""
    from tljax.data import cats_vs_dogs

    def read(path):
        try:
            for name, animal, _, content in cats_vs_dogs.members(path):
                assert cats_vs_dogs.PHOTO.fullmatch(name)[1] == animal
                content()
        except (OSError, zipfile.BadZipFile) as error:  # as `prepare` does
            raise InputError(f"{path}: {error}") from None

    return read


_TAGS = """html head meta title link style body h1 h2 h3 p pre code ul li div span
table thead tbody tr th td i small details summary dl dt dd img figure figcaption b br"""
_ATTRIBUTES = (
    "lang charset name content rel href class alt src scope data-label title style aria-hidden role"
)
TAGS, ATTRIBUTES = frozenset(_TAGS.split()), frozenset(_ATTRIBUTES.split())


class Page(html.parser.HTMLParser):
    """Fails on whatever a page of ours does not have."""

    def handle_starttag(self, tag, attrs):
        assert tag in TAGS, tag
        for name, value in attrs:
            assert name in ATTRIBUTES, name
            assert name not in ("src", "href") or value.startswith("data:"), value
            assert name != "style" or re.fullmatch(r"[a-z0-9:;.,%() -]*", value), value

    def handle_comment(self, data):
        raise AssertionError(data)


def page():
    """The folder of a run whose names are a stranger's: its page, table and Markdown."""
    from tljax import report
    from tljax.report.pages import page
    from tljax.report.tables import table

    def read(path):
        text = page.write_page(path).read_text()
        Page(convert_charrefs=True).feed(text)
        for hidden in "\u202e\u202d\u2066\u200f\u200b\x1b\x00\u2028":
            assert hidden not in text, hex(ord(hidden))
        results = read_results(path / "results.json")
        markdown = table.markdown_table(results)
        assert "<img" not in markdown
        rows = [line for line in markdown.splitlines() if line.startswith("|")]
        assert len(rows) == 2 + len(by_rung(results))
        report.text_table(results)

    return read
