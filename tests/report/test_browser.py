"""The pages in a real browser, scripts off: nothing asked for, nothing complained of,
nothing wider than the screen.
"""

import io
import json

import numpy as np
import pytest
from PIL import Image

from tljax import report
from tljax.config import HEAD_ONLY, Stage
from tljax.report.inside.layout import Row, Sheet, Tile
from tljax.report.pages import document, inside, photographs, runs_page
from tljax.report.pages.photographs import Photographs
from tljax.runs import planned

from . import browser as browsers

LONG = "a_class_with_a_name_longer_than_a_telephone_is_wide_and_no_space_in_it"
RUNGS = ("scratch", "frozen", "differential")
WIDTHS = (390, 800, 1100, 1200)


@pytest.fixture(scope="module")
def browser():
    if not (command := browsers.found()):
        pytest.skip(f"no browser: none of {', '.join(browsers.NAMES)} is installed")
    opened = browsers.Browser(command)
    yield opened
    opened.close()


def whole_run(workdir, write, **options):
    """A run with all that a page can show, and names that are hard to set."""
    workdir.mkdir()
    write(workdir, classes=(LONG, "dog", "fox"), rungs=RUNGS, **options)
    rng = np.random.default_rng(0)
    images, likely = (
        rng.integers(0, 256, (4, 48, 48, 3), dtype=np.uint8),
        rng.dirichlet((1, 1, 1), 4),
    )
    ids, labels = np.array([f"validation/{LONG}/{i}.jpg" for i in range(4)]), np.arange(4) % 3
    about = {"rung": "frozen", "seed": 0, "layer": "block5_conv3", "images": 40}
    kept = Photographs(
        **about, classes=np.array([LONG, "dog", "fox"]), worst=images, worst_ids=ids,
        worst_labels=labels, worst_losses=np.ones(4), worst_probabilities=likely, seen=images,
        seen_ids=ids, seen_labels=labels, seen_probabilities=likely, maps=rng.random((4, 2, 3, 3)),
    )  # fmt: skip
    photographs.write(kept, workdir=workdir)
    planned.write_planned(
        [Stage(n, HEAD_ONLY, 1e-3, epochs=1) for n in RUNGS], images=96, workdir=workdir
    )
    command = ["python", "-m", "experiments.ladder", "--workdir", "/" + 30 * "folder/"]
    config = {
        "command": command,
        "arguments": {"weights": 90 * "x"},
        "device": "cpu",
        "versions": {"jax": "0.10.2"},
    }
    rules = [["head/.*", 1.0], *[[f"base/block{i}_.*", 0.1] for i in range(5, 0, -1)]]
    config["plan"] = {rung: {"stage": {"rules": rules}} for rung in RUNGS}
    (workdir / "config.json").write_text(json.dumps(config))
    return workdir


@pytest.fixture(scope="module")
def pages(tmp_path_factory, browser):
    """Paths by name, made once: of a run, and of two runs."""
    return {}, tmp_path_factory.mktemp("pages")


@pytest.fixture(params=["run", "comparison", "inside"])
def page(request, pages, write):
    made, folder = pages
    if not made:
        one, two = (
            whole_run(folder / name, write, seeds=seeds)
            for name, seeds in (("one", (0, 1)), ("two", (1,)))
        )
        made["run"] = report.write_report(one)[-1]
        tile = Tile(np.full((48, 48, 3), 128, np.uint8), f"{LONG}\nis dog")
        sheet = Sheet(LONG, LONG, [Row([tile] * 8, LONG), Row([tile] * 2)])
        made["inside"] = inside.write_sheets(folder / "inside.html", LONG, [sheet], waiting=[LONG])
        made["comparison"] = runs_page.write_comparison([one, two], out=folder / "compare.html")
    return made[request.param]


def test_a_page_stands_alone_and_fits_every_screen(browser, page):
    assert page.stat().st_size < 3_000_000
    for width in WIDTHS:
        for dark in (False, True):
            browser.show(page, width=width, dark=dark)
            assert browser.requests() == []
            assert browser.complaints() == []
            assert browser.width() <= width
    assert (
        browser.value("[...document.images].filter(i => !i.complete || i.naturalWidth == 0).length")
        == 0
    )
    assert browser.value("[...document.images].filter(i => !i.alt).length") == 0


def test_no_text_is_tiny(browser, page):
    browser.show(page, width=390, dark=False)
    sizes = browser.value(
        "[...document.body.querySelectorAll('*')].map(e => "
        "parseFloat(getComputedStyle(e).fontSize))"
    )
    assert len(sizes) > 50
    assert min(sizes) >= 13


def test_the_dark_page_is_dark_charts_included(browser, page):
    """Paper is the theme's, and of the whole page few pixels are bright in the dark,
    and most in the light.
    """
    for dark, colours in ((False, document.LIGHT), (True, document.DARK)):
        browser.show(page, width=390, dark=dark)
        with Image.open(io.BytesIO(browser.picture())) as picture:
            pixels = np.asarray(picture.convert("RGB"))
        assert "#" + bytes(pixels[0, 0]).hex() == colours["paper"]
        bright = (pixels.min(-1) > 200).mean()
        assert bright < 0.1 if dark else bright > 0.7


def test_the_browser_sees_what_a_page_must_not_do(browser, page, tmp_path):
    text = page.read_text()
    bad = '<div style="width: 500px">x</div><img src="http://127.0.0.1:9/x.png" alt="">'
    (tmp_path / "bad.html").write_text(text.replace("<h1>", bad + "<h1>"))
    browser.show(tmp_path / "bad.html", width=390, dark=False)
    assert browser.width() > 390
    assert browser.requests() == ["http://127.0.0.1:9/x.png"]
    assert any("net::ERR_" in complaint for complaint in browser.complaints())
