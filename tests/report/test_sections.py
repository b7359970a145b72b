"""What the report says of kept predictions: its sections, pictures and the tables' new parts."""

import re
import shutil

import numpy as np
import pytest
from PIL import Image

from tljax import report
from tljax.report.pictures import style
from tljax.report.stats import calibration
from tljax.report.tables import trust
from tljax.runs.predictions import Predictions

PICTURES = ["ladder.png", "reliability.png", "confusion.png", "report.html"]


def inside(text: str, tag: str) -> str:
    return " | ".join(re.findall(rf"<{tag}\b[^>]*>(.*?)</{tag}>", text, re.DOTALL))


@pytest.mark.parametrize("classes", [2, 5, 30])
def test_the_page_has_a_part_for_each_question(tmp_path, write, classes):
    names = tuple(f"<class> ${i}" for i in range(classes))
    write(tmp_path, classes=names, images=60)
    paths = report.write_report(tmp_path)
    assert [path.name for path in paths[2:]] == PICTURES
    text = paths[-1].read_text()
    assert "The ladder | " in inside(text, "h2")
    assert "calibration and confusion" in inside(text, "h2")
    assert "against scratch</small>" in text
    assert (
        "the same 60 validation images: 95 % intervals by bootstrap over seeds and images"
        in inside(text, "p")
    )
    assert text.count('src="data:image/png;base64,') == 4
    assert text.count('<th scope="row">') == 2 + 2 + 2 + min(classes, 20)
    assert text.count('<th scope="row">&lt;class&gt; $') == min(classes, 20)
    assert ("The 20 classes of lowest recall" in text) == (classes == 30)
    for name in PICTURES[1:3]:
        with Image.open(tmp_path / name) as picture:
            assert (
                np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0).shape[0] > 100
            )


def test_old_runs_report_without(tmp_path, write):
    write(tmp_path)
    shutil.rmtree(tmp_path / "predictions")
    assert [path.name for path in report.write_report(tmp_path)[2:]] == [
        "ladder.png",
        "report.html",
    ]
    heads = inside((tmp_path / "report.html").read_text(), "h2")
    assert (
        heads
        == "The ladder | Loss and accuracy against epoch | What each rung trained, and what it "
        "cost | Command, data, versions"
    )
    assert report.differences(tmp_path) == []


def test_tables_have_a_test_column_and_differences_only_where_there_are(tmp_path, write):
    write(tmp_path, splits=("validation", "test"), seeds=(0,))
    report.write_report(tmp_path)
    results, lines = report.read_results(tmp_path / "results.json"), report.differences(tmp_path)
    assert lines[-1].startswith(
        "Paired on the same 40 test images: 95 % intervals by bootstrap over images, which"
    )
    text = report.text_table(results, differences=lines)
    assert text.splitlines()[0].endswith("test accuracy")
    accuracy = 100 * results["rungs"][0]["test"]["accuracy"]
    assert f"  {accuracy:.1f} % (" in text.splitlines()[2]
    assert text.splitlines()[2].endswith(" over 40 images)")
    assert text.endswith("\nDifferences\n" + "".join(f"  {line}\n" for line in lines))
    assert report.markdown_table(results, differences=lines).endswith(f"- {lines[-1]}\n")
    assert "| test accuracy |" in report.markdown_table(results)
    assert "fitted on the validation images" in (tmp_path / "report.html").read_text()


def predictions(*logits, labels=(0, 1, 1)):
    ids, classes = tuple(map(str, labels)), ("cat", "dog")
    return Predictions(
        tuple(range(len(logits))), np.array(logits, float), np.array(labels, np.int32), ids, classes
    )


# Right, right, wrong; and all right, with logits of 0 and log 3.
ONE = np.log([[3, 1], [1, 3], [3, 1]])
TWO = np.log([[3, 1], [1, 3], [1, 3]])


def test_class_rows_by_hand():
    """dog: 1 of 2 found (Wilson 0.09 to 0.91), the one said to be one is;
    over two runs 0.75 -+ 12.7 x 0.25.
    """
    assert trust.class_rows(predictions(ONE)) == [
        ("cat", "1", "0.50 [0.09, 0.91]", "1.00 [0.21, 1.00]", "0.67", "0.75"),
        ("dog", "2", "1.00 [0.21, 1.00]", "0.50 [0.09, 0.91]", "0.67", "0.75"),
    ]
    assert trust.class_rows(predictions(ONE, TWO))[1][3] == "0.75 [0.00, 1.00]"


def test_calibration_row_by_hand(monkeypatch):
    """Confidence 3/4: ECE 3/4 - 2/3, or each image alone (1/4 + 1/4 + 3/4) / 3.

    Brier (1/8 + 1/8 + 9/8) / 3; NLL log 4 - 2/3 log 3; best temperature log 3 / log 2.
    """
    monkeypatch.setattr(calibration, "LEAST", 1)
    name, ece, mass, brier, nll, temperature, after, nll_after = trust.calibration_row(
        "x", predictions(ONE), fitted_on=predictions(ONE)
    )
    assert (name, ece, mass, brier, nll) == ("x", "0.083", "0.417", "0.458", "0.654")
    assert (temperature, after, nll_after) == ("1.58", "0.000", "0.637")


def test_the_matrix_shows_shares_and_counts(tmp_path, monkeypatch):
    kept, save = [], style.save
    monkeypatch.setattr(
        style, "save", lambda figure, path: kept.append(figure) or save(figure, path)
    )
    report.confusion.write_confusion(
        "x", predictions(ONE, TWO), split="validation", workdir=tmp_path
    )
    texts = [text.get_text() for text in kept[0].axes[0].texts]
    assert texts == ["100.0 %\n1", "0.0 %\n0", "25.0 %\n0.5", "75.0 %\n1.5"]
