import pytest
from PIL import Image

from tljax.report.pictures.transferability import suggestion, write_transferability


def scores(logme, h_score):
    pairs = zip(logme, h_score, strict=True)
    return {
        f"block{i}_pool": {"LogME": a, "H-score": b, "CKA with x": 0.5}
        for i, (a, b) in enumerate(pairs, start=1)
    }


@pytest.mark.parametrize(
    ("logme", "h_score", "said"),
    [
        (
            (1, 2, 3),
            (1, 2, 3),
            "LogME is highest after block3, the last: train a head first, "
            "unfreeze if it falls short.",
        ),
        (
            (1, 3, 2),
            (1, 2, 3),
            "LogME is highest after block2, not the last: keep the base frozen up to it, "
            "and unfreeze from block3 on. "
            "By the H-score it is block3: try both.",
        ),
    ],
)
def test_the_sentence_names_the_blocks(logme, h_score, said):
    assert suggestion(scores(logme, h_score)) == said


def test_a_row_a_measure(tmp_path):
    path = write_transferability("a set", scores((1, 2, 3), (1, 1, 1)), workdir=tmp_path)
    with Image.open(path) as picture:
        assert picture.size == pytest.approx(
            (924, 783), rel=0.05
        )  # the versions of matplotlib differ by some pixels
