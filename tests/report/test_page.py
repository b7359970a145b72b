"""The page as a browser's parser sees it, and the door that writes everything."""

import base64
import html
import json
import re
from html.parser import HTMLParser

import pytest

from tljax import report
from tljax.errors import InputError
from tljax.report.pages import page as pages
from tljax.tasks.classification import CLASSIFICATION
from tljax.tasks.multilabel import MULTILABEL
from tljax.tasks.regression import REGRESSION

VOID = {"meta", "link", "img", "br"}
EVIL = "<script>alert('1')</script>"


class Page(HTMLParser):
    """Fails on a tag that is closed out of turn; keeps attributes, and text by enclosing tag."""

    def __init__(self, text: str):
        super().__init__()
        self.open, self.tags, self.text = [], [], {}
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open:
            self.text[self.open[-1]] = self.text.get(self.open[-1], "") + data

    def all(self, tag: str) -> list[dict]:
        return [attrs for name, attrs in self.tags if name == tag]


def write_run(
    workdir, *, rungs=("scratch", "frozen"), finished=1, source="critters", classes=("cat", "dog")
):
    """A run of these rungs, two seeds each, of which the first `finished` have a result."""
    epochs = [(rung, seed, epoch) for rung in rungs for seed in (0, 5) for epoch in (1, 2)]
    scores = {"loss": 0.5, "accuracy": 0.75}
    lines = [
        {"rung": r, "seed": s, "epoch": e, "train": scores, "validation": scores}
        for r, s, e in epochs
    ]
    (workdir / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    numbers = {
        "epochs": 2,
        "trainable_params": 7,
        "total_params": 9,
        "seconds": 4.0,
        "images_per_second": 100.0,
    }
    rows = [
        {"name": r, "seed": s, "validation": scores | {"n": 40}} | numbers
        for r in rungs[:finished]
        for s in (0, 5)
    ]
    data = {"source": source, "digest": "abc123", "classes": classes, "size": 150}
    data |= {"train_images": 900, "validation_images": 1000}
    results = {"data": data, "environment": {"machine": "two cores"}, "rungs": rows}
    (workdir / "results.json").write_text(json.dumps(results))
    command = ["python", "-m", "experiments.ladder", "--workdir", "my runs"]
    config = {
        "command": command,
        "arguments": {},
        "versions": {"jax": "0.10.2"},
        "device": "cpu",
        "more": [1, 2],
    }
    (workdir / "config.json").write_text(json.dumps(config))


def test_what_there_is_one_of_is_named_so():
    for task, names, said in (
        (REGRESSION, ["head width"], "1 number (head width)"),
        (REGRESSION, ["width", "height"], "2 numbers (width, height)"),
        (CLASSIFICATION, ["cat"], "1 class (cat)"),
        (MULTILABEL, ["cat"], "1 label (cat)"),
    ):
        assert said in pages.data_line({"classes": names, "size": 64}, task)


def test_report_of_a_run_that_is_not_finished(tmp_path):
    write_run(tmp_path)
    paths = report.write_report(tmp_path)
    assert [path.name for path in paths] == [
        "curves_scratch.png",
        "curves_frozen.png",
        "ladder.png",
        "report.html",
    ]
    text = paths[-1].read_text()
    page = Page(text)
    assert page.text["h1"] == (
        "75.0 % of 40 validation photographs [59.8, 85.8], by its best rung (scratch, 2 seeds); "
        "trained in 8 seconds"
    )
    command = text.partition('<pre class="command"><code>')[2].partition("</code>")[0]
    words = html.unescape(re.sub("</?span>", "", command))
    assert words == "python -m experiments.ladder --workdir 'my runs'"
    assert page.text["p"].startswith(": 900 training photographs; 2 classes (cat, dog); 150 x 150")
    assert page.text["p"].endswith(
        "critters; 2 classes (cat, dog); 150 x 150 pixels; 900 training images; "
        "1,000 validation images; sha256 abc123"
    )
    costs = "unknown7 (77.8\xa0%)unknownunknown100unknownunknownunknownunknown4.0"
    assert f"{costs}2 epochs75.0\xa0%59.8 to 85.8\xa0% over 40 images0.500" in page.text["span"]
    assert page.text["span"].startswith("75.0 % ")
    assert page.text["dt"] == "deviceseedsjax"
    assert page.text["dd"] == "cpu0, 50.10.2"
    assert '"more": [' in page.text["pre"]
    assert '"machine": "two cores"' in page.text["pre"]
    pictures = page.all("img")
    embedded = [
        base64.b64decode(img["src"].removeprefix("data:image/png;base64,")) for img in pictures
    ]
    assert embedded == [
        tmp_path.joinpath(name).read_bytes() for name in [p.name for p in paths[:2]]
    ]
    assert (
        pictures[0]["alt"]
        == "scratch: training and validation loss and accuracy up to epoch 2, 2 seeds"
    )
    assert len(text) < 3_000_000


def test_the_page_asks_for_nothing_outside_itself(tmp_path):
    write_run(tmp_path, source="http://example.org/x.zip")
    page = Page(report.write_report(tmp_path)[-1].read_text())
    addresses = [
        a[k] for _, a in page.tags for k in ("src", "href", "srcset", "action", "data") if k in a
    ]
    assert len(addresses) == 3
    assert all(address.startswith("data:") for address in addresses)
    assert "url(" not in page.text["style"]
    assert "@import" not in page.text["style"]
    assert "prefers-color-scheme: dark" in page.text["style"]
    assert page.all("meta")[1]["content"] == "width=device-width, initial-scale=1"


def test_names_are_text_and_never_markup(tmp_path):
    write_run(
        tmp_path, rungs=(EVIL, '" onerror="x'), finished=2, source=EVIL, classes=(EVIL, "caf\udce9")
    )
    page = Page(report.write_report(tmp_path)[-1].read_text())
    assert page.all("script") == []
    assert all(set(img) == {"class", "src", "alt"} for img in page.all("img"))
    assert EVIL in page.text["h1"]
    assert EVIL in page.all("b")[0]["title"]
    assert page.text["p"].count(f"2 classes ({EVIL}, caf?)") == 2
    assert page.text["th"].endswith(EVIL + '" onerror="x')


def test_report_before_the_first_rung_has_finished(tmp_path):
    write_run(tmp_path, rungs=())
    paths = report.write_report(tmp_path)
    assert [path.name for path in paths] == ["report.html"]
    assert page_text(paths[0], "h1") == "No rung has finished yet"


def page_text(path, tag: str) -> str:
    return Page(path.read_text()).text[tag].strip()


def test_many_classes_are_counted_and_not_all_listed(tmp_path):
    write_run(tmp_path, rungs=(), classes=[f"c{i}" for i in range(200)])
    assert "200 classes (c0, c1, " in page_text(report.write_report(tmp_path)[0], "p")
    assert "c11 and 188 more)" in page_text(tmp_path / "report.html", "p")


def test_sections_on_predictions_are_well_formed(tmp_path, write):
    """A name that is markup is text there too."""
    write(tmp_path, classes=(EVIL, "dog"), rungs=("scratch", EVIL.replace("/", "")))
    page = Page(report.write_report(tmp_path)[-1].read_text())
    assert page.all("script") == []
    assert EVIL.replace("/", "") in page.text["h1"]
    assert EVIL in page.text["th"]


@pytest.mark.parametrize("name", ["config.json", "metrics.jsonl", "results.json"])
def test_a_missing_or_garbled_file_is_named_before_anything_is_written(tmp_path, name):
    write_run(tmp_path)
    (tmp_path / name).write_text('{"a":')
    with pytest.raises(InputError, match=rf"{name}: line 1: expected"):
        report.write_report(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(InputError, match=f"{name}: expected a readable file"):
        report.write_report(tmp_path)
    assert not list(tmp_path.glob("*.png")) + list(tmp_path.glob("*.html"))


def test_a_collapse_is_told_in_red_and_what_was_done(tmp_path):
    write_run(tmp_path)
    healthy = report.write_report(tmp_path)[-1].read_text()
    results = json.loads((tmp_path / "results.json").read_text())
    said = "scratch, seed 5: collapsed: went back to epoch 0 <b>"
    results["rungs"][1]["collapsed"] = {"learnt_nothing": False, "said": said}
    (tmp_path / "results.json").write_text(json.dumps(results))
    text = report.write_report(tmp_path)[-1].read_text()
    assert f'<p class="wrong"><b>{html.escape(said)}</b></p>' in text
    assert "scratch (collapsed in 1 of 2 seeds)" in text
    assert ".wrong b { color: var(--wrong); }" in text
    done = "of one that went back, those of the epoch it went back to"
    assert done in text
    assert done not in healthy
