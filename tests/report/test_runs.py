"""Runs compared: refused on other photographs, paired on the same, and what was set otherwise."""

import json
import re

import numpy as np
import pytest

from tljax.errors import InputError
from tljax.report.pages import runs, runs_page
from tljax.report.pages.runs import Run
from tljax.report.pictures import style


def edit(path, **more):
    path.write_text(json.dumps(json.loads(path.read_text()) | more))


@pytest.fixture
def pair(tmp_path, write):
    """Folders of two runs: b has no scratch, a better-taught frozen of one seed,
    and a rung of its own.
    """
    for name, options in (
        ("a", {"rungs": ("frozen", "scratch")}),
        ("b", {"rungs": ("<late>", "frozen"), "seeds": (5,)}),
    ):
        (tmp_path / name).mkdir()
        write(tmp_path / name, **options)
    return [tmp_path / "a", tmp_path / "b"]


def inside(text: str, tag: str) -> list[str]:
    return re.findall(rf"<{tag}\b[^>]*>(.*?)</{tag}>", text, re.DOTALL)


def test_the_page_has_each_rung_of_each_run(pair, tmp_path):
    edit(
        pair[0] / "config.json",
        arguments={"budget": 1.0, "workdir": "x"},
        plan={"scratch": {"n": 1}},
        device="cpu",
    )
    edit(pair[1] / "config.json", arguments={"budget": 0.5, "workdir": "y"}, plan={}, device="cpu")
    out = runs_page.write_comparison(pair, out=tmp_path / "new" / "page.html")
    text = out.read_text()
    heads = re.findall(r'<th scope="row">(.*?)</th><td data-label="run"><span>(.*?)</span>', text)
    assert heads == [("frozen", "a"), ("frozen", "b"), ("scratch", "a"), ("&lt;late&gt;", "b")]
    accuracy = json.loads((pair[1] / "results.json").read_text())["rungs"][1]["validation"][
        "accuracy"
    ]
    b = re.findall(
        r'<span>b</span></td><td data-label="seeds"><span>1</span></td>.*?<span>(.*?)</span>', text
    )
    assert b[0] == f"{100 * accuracy:.1f}\N{NO-BREAK SPACE}%"
    lines = inside(text, "li")
    assert len(lines) == 2
    assert lines[0].startswith("frozen: b beats a by ")
    assert "McNemar p" in lines[0]  # of the one seed that both have
    assert lines[1].startswith(
        "best rungs: b (frozen) against a (scratch): no difference shown: +0.0 points"
    )
    settings = re.findall(
        r'<th scope="row">([a-z.]+)</th><td '
        r'data-label="a"><span>(.*?)</span></td><td[^>]*><span>(.*?)<',
        text,
    )
    assert settings == [("arguments.budget", "1.0", "0.5"), ("plan.scratch", "present", "absent")]
    assert text.count("data:image/png;base64,") == 1 + 3  # accuracies, and the curves of each rung
    assert "<late>" not in text
    assert "<script" not in text


def test_other_photographs_are_refused_in_one_line(pair, tmp_path, write):
    edit(pair[1] / "results.json", data={"digest": "fff", "classes": ["cat", "dog"]})
    with pytest.raises(
        InputError,
        match=r"/b: expected the photographs of a \(sha256 abc123\), found others \(fff\)",
    ) as caught:
        runs_page.write_comparison(pair, out=tmp_path / "page.html")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "page.html").exists()


def test_predictions_on_other_photographs_are_refused(pair, write):
    write(pair[1], images=38, rungs=("frozen",))
    with pytest.raises(
        InputError, match="b: expected predictions on the photographs and classes of a"
    ):
        runs.read_runs(pair)


@pytest.mark.parametrize("count", [0, 1, 7])
def test_two_to_six_runs_each_once(tmp_path, count):
    with pytest.raises(InputError, match="expected 2 to 6 runs, each once, found"):
        runs.read_runs([tmp_path / str(i) for i in range(count)])
    with pytest.raises(InputError, match="expected 2 to 6 runs, each once, found"):
        runs.read_runs([tmp_path / "a", tmp_path / "b" / ".." / "a"])


def test_names_tell_runs_apart(tmp_path, write):
    folders = [tmp_path / "one" / "ladder", tmp_path / "two" / "ladder"]
    for folder in folders:
        folder.mkdir(parents=True)
        write(folder, rungs=("frozen",))
    assert [run.name for run in runs.read_runs(folders)[1]] == ["one/ladder", "two/ladder"]


def test_the_test_split_judges_where_every_rung_has_it(tmp_path, write):
    for name, splits in (
        ("a", ("validation", "test")),
        ("b", ("validation", "test")),
        ("c", ("validation",)),
    ):
        (tmp_path / name).mkdir()
        write(tmp_path / name, rungs=("frozen",), splits=splits)
    assert runs.read_runs([tmp_path / "a", tmp_path / "b"])[0] == "test"
    assert runs.read_runs([tmp_path / "a", tmp_path / "c"])[0] == "validation"


def run(name, **said):
    rows = [
        {
            "name": rung,
            "seed": seed,
            "validation": {"accuracy": float(right.mean()), "n": len(right)},
        }
        for rung, each in said.items()
        for seed, right in zip(each.seeds, each.right, strict=True)
    ]
    return Run(name, {}, {"rungs": rows}, {}, said)


def test_differences_by_hand(said):
    """b is right on 3 images more of 4, c shares no seed with a."""
    a, b, c = said([1, 0, 0, 0]), said([1, 1, 1, 1]), said([1, 1, 0, 0], seeds=(9,))
    lines = runs.difference_lines([run("A", x=a), run("B", x=b), run("C", x=c)])
    assert len(lines) == 2
    assert re.fullmatch(
        r"x: B beats A by 75\.0 points \[\d+\.0, 100\.0\], McNemar p 0\.250", lines[0]
    )
    assert lines[1] == "x: C and A share no seed"


def test_what_differs_is_named_with_each_value():
    same = {
        "size": 48,
        "command": ["x"],
        "arguments": {"workdir": "a", "lr": None},
        "plan": {"x": {"epochs": 3}},
    }
    other = {
        "size": 48,
        "command": ["y"],
        "arguments": {"workdir": "b", "lr": "find"},
        "plan": {"y": [1, 2]},
    }
    assert runs.unequal({"a": same, "b": same}) == []
    assert runs.unequal({"a": same, "b": other, "c": same}) == [
        ("arguments.lr", "null", "find", "null"),
        ("plan.x", "present", "absent", "present"),
        ("plan.y", "absent", "[1, 2]", "absent"),
    ]


def test_pictures_show_the_runs_own_numbers(pair, monkeypatch):
    kept, png = [], style.png
    monkeypatch.setattr(style, "png", lambda figure: kept.append(figure) or png(figure))
    split, both = runs.read_runs(pair)
    runs_page.runs_pictures.accuracies(both, split=split)
    accuracies = {
        (r.name, row["name"], row["seed"]): 100 * row["validation"]["accuracy"]
        for r in both
        for row in r.results["rungs"]
    }
    dots = [ln.get_xdata().tolist() for ln in kept[0].axes[0].lines if ln.get_marker() == "o"]
    expected = [
        [("a", "frozen", 0), ("a", "frozen", 5)],
        [("b", "frozen", 5)],
        [("a", "scratch", 0), ("a", "scratch", 5)],
    ]
    assert dots == [
        *[[accuracies[key] for key in keys] for keys in expected],
        [accuracies["b", "<late>", 5]],
    ]
    both[0].metrics["frozen"][0]["validation/loss"] = np.array([0.25])
    runs_page.runs_pictures.curves("frozen", both)
    lines = [(ln.get_color(), ln.get_ydata().tolist()) for ln in kept[1].axes[0].lines]
    blue, vermilion = runs_page.runs_pictures.COLOURS[:2]
    assert lines == [(blue, [0.375]), (blue, [0.25]), (blue, [0.5]), (vermilion, [0.5])]
    assert [text.get_text() for text in kept[1].axes[0].texts] == ["b\n0.500", "a\n0.375"]
