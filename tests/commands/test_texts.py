"""Texts through the commands: a language model, a ladder from it, its page and predictions."""

import gc
import json
import sys

import numpy as np
import pytest

from tljax import load_run
from tljax.commands import options, predict, pretrain, report, running, transferability
from tljax.commands.climb.rung import named
from tljax.commands.generalise import suspects
from tljax.commands.runner import main
from tljax.commands.text import read as texts
from tljax.data.critters import BASE
from tljax.data.text.load import holds_texts
from tljax.errors import InputError
from tljax.models import ops
from tljax.report.pages import sentences
from tljax.runs.results import read_results
from tljax.weights import read

COMMON = ("the", "old", "dog", "saw", "one", "more", "hill", "from", "here", "again")
TELLING = {"sunny": ("sun", "warm", "light"), "rainy": ("rain", "cold", "cloud")}


def text(number: int, label: str) -> str:
    draw = np.random.default_rng([number, len(label), ord(label[0])])
    words = [*draw.choice(COMMON, 6), *draw.choice(TELLING[label], 2)]
    return " ".join(draw.permutation(words)) + f" {number}"


@pytest.fixture(scope="module")
def place(tmp_path_factory, in_a_hurry):
    """reviews/CLASS/*.txt, articles.txt, and runs/words, a bag of words."""
    folder = tmp_path_factory.mktemp("texts")
    for label in TELLING:
        (folder / "reviews" / label).mkdir(parents=True)
        for number in range(30):
            (folder / "reviews" / label / f"{number}.txt").write_text(text(number, label))
    articles = [" ".join(text(i, label) for label in TELLING) for i in range(100, 400)]
    (folder / "articles.txt").write_text("\n\n".join(articles))
    with pytest.MonkeyPatch.context() as patch:
        enter(folder, patch, in_a_hurry)
        run(patch, climb("scratch"), "scratch --task text --data reviews --budget 0.4")
    return folder


def enter(folder, patch, in_a_hurry):
    patch.chdir(folder)
    patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    patch.setattr(ops, "compiler_options", in_a_hurry)


def run(patch, command, words):
    patch.setattr(sys, "argv", [*words.split(), "--quiet"])
    command()


def climb(*rungs):
    return lambda: main(None, experiment="words", rungs=named(rungs))


@pytest.fixture
def here(place, monkeypatch, in_a_hurry):
    enter(place, monkeypatch, in_a_hurry)
    return place


def test_the_ladder_learns_and_says_what_of(here):
    results = read_results(here / "runs" / "words" / "results.json")
    assert results["task"] == {"name": "text"}
    rows = {row["name"]: row["validation"] for row in results["rungs"]}
    assert rows["scratch"]["accuracy"] > 0.8
    assert rows["scratch"]["n"] == 12


def test_a_loaded_run_answers_as_the_run_did(here):
    trained = load_run("runs/words", rung="scratch")
    kept = np.load(here / "runs" / "words" / "predictions" / "scratch-seed0.npz")
    paths = [here / "reviews" / name for name in kept["ids"]]
    logit = kept["logits"][:, 0]
    sure = 1 / (1 + np.exp(-logit))
    np.testing.assert_allclose(trained.predict(paths).probabilities[:, 1], sure, atol=1e-5)
    texts = [path.read_text() for path in paths]
    np.testing.assert_array_equal(trained(texts), trained(paths))
    assert trained("sun sun warm").argmax() == trained.classes.index("sunny")
    for given, fault in (
        ("", "expected a text, found an empty one"),
        ("nowhere/x.txt", "cannot be read"),
        (3, "expected texts or paths, found int"),
    ):
        with pytest.raises(InputError, match=fault):
            trained.predict(given)


def test_predict_takes_sentences_and_files(here, monkeypatch, capsys):
    (here / "bad.txt").write_bytes(b"caf\xe9")
    (here / "rain.png").write_bytes(b"x")
    given = ["the rain again", "reviews/sunny/1.txt", "bad.txt", "rain.png"]
    words = ["predict", "--run", "runs/words", *given]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit):
        predict.main()
    out = capsys.readouterr()
    for name in ("the rain again", "reviews/sunny/1.txt"):
        assert f"{name}: " in out.out
    assert "bad.txt: expected UTF-8 text, found byte 0xe9 at 3" in out.err
    assert "rain.png: expected a sentence or a .txt file, found another file" in out.err
    assert "rain.png" not in out.out


def test_the_page_marks_the_words_that_decide(here, monkeypatch):
    kept = sentences.read(here / "runs" / "words")
    telling = {word for words in TELLING.values() for word in words}
    ends, found = np.cumsum(kept.counts), []
    for i, whole in enumerate(kept.texts):
        words = slice(ends[i] - kept.counts[i], ends[i])
        spans = list(zip(kept.firsts[words], kept.lasts[words], kept.weights[words], strict=True))
        assert [str(whole)[a:b] for a, b, _ in spans] == str(whole).split()
        first, last, _ = max(spans, key=lambda span: abs(span[2]))
        found.append(str(whole)[first:last] in telling)
    assert np.mean(found) > 0.7
    page = here / "runs" / "words" / "report.html"
    written = page.read_text()
    assert "<h2>Wrong or doubtful</h2>" in written
    page.unlink()
    run(monkeypatch, report.main, "report --run runs/words")
    assert page.read_text() == written


@pytest.mark.slow
def test_a_language_model_is_a_base_and_goes_on(here, monkeypatch):
    """Kept with its vocabulary and head, tuned to other text, and the base of a ladder."""
    words = "pretrain --task language --data text:articles.txt --width 32 --epochs 3 --lr 0.01"
    run(monkeypatch, pretrain.main, words)
    weights = read(here / "runs" / "pretrain" / "base.safetensors")
    assert weights.architecture["name"] == "causal"
    size = weights.preprocess.size
    assert weights.top["predictions"]["kernel"].shape == (32, size)
    before = weights.provenance["record"]["validation"]
    assert before["perplexity"] < 0.5 * size
    assert before["loss"] == pytest.approx(np.log(before["perplexity"]), rel=0.02)
    words = "pretrain --data articles.txt --weights runs/pretrain/base.safetensors --epochs 1"
    run(monkeypatch, pretrain.main, f"{words} --out tuned.safetensors")
    tuned = read(here / "tuned.safetensors")
    assert tuned.provenance["record"]["validation"]["perplexity"] < before["perplexity"]
    assert tuned.preprocess == weights.preprocess
    words = "ladder --data reviews --weights tuned.safetensors --budget 0.4 --workdir runs/more"
    run(monkeypatch, climb("frozen", "finetune"), words)
    kept = here / "runs" / "more" / "predictions" / "finetune-seed0.npz"
    whole, made = kept.read_bytes(), read_results(here / "runs" / "more" / "results.json")
    assert [row["name"] for row in made["rungs"]] == ["frozen", "finetune"]
    gc.collect()  # what holds the folder lives as long as the run did
    run(monkeypatch, climb("frozen", "finetune"), f"{words} --resume")
    assert kept.read_bytes() == whole


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        ("--data reviews --task text", "reviews needs a pretrained base"),
        ("--data stdlib:source", "is for tljax pretrain"),
        ("--data articles.txt --task text", "a column text or"),
    ],
)
def test_what_cannot_be_is_one_line(words, fault, here, monkeypatch, capsys):
    words = ["ladder", *words.split(), "--quiet", "--workdir", "runs/none"]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit):
        running.run(climb("frozen"))
    said = capsys.readouterr().err
    assert fault in said
    assert said.count("\n") == 1
    assert not (here / "runs" / "none").exists()


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        ("--data reviews --label-columns mood", "columns: expected csv:FILE with them"),
        ("--data reviews --void 3", "--void: expected photographs, found texts"),
        ("--data reviews --decisions d.csv", "--decisions: expected photographs, found texts"),
        ("--data reviews --skip-corrupt", "--skip-corrupt: expected photographs, found texts"),
        ("--data mail.csv --text-column body --label-columns a,b", "expected one column of class"),
        ("--data mail.csv --text-column bodi", "expected a column bodi, found subject, body, kind"),
        (
            "--data mail.csv --text-column body --task regression",
            "expected texts, found --task reg",
        ),
        ("--data mail.csv --task text", "found subject, body, kind; --text-column"),
    ],
)
def test_options_of_photographs_and_other_columns_are_refused(
    words, fault, here, monkeypatch, capsys
):
    (here / "mail.csv").write_text("subject,body,kind\na b,c d,e\n")
    words = f"scratch {words} --quiet --workdir runs/none"
    monkeypatch.setattr(sys, "argv", words.split())
    with pytest.raises(SystemExit):
        running.run(climb("scratch"))
    said = capsys.readouterr().err
    assert fault in said
    assert said.count("\n") == 1
    assert not (here / "runs" / "none").exists()


@pytest.mark.parametrize(
    ("words", "columns"),
    [
        ("reviews", ("", "")),
        ("rows.csv", ("text", "label")),
        ("csv:rows.csv --text-column body --label-columns kind", ("body", "kind")),
    ],
)
def test_the_task_is_told_from_texts(words, columns, here, monkeypatch):
    """The same texts, in folders and in columns of any name, without --task."""
    made = [(text(i, label), label) for label in TELLING for i in range(30)]
    lines = [",".join(columns), *(",".join(row) for row in made)]
    (here / "rows.csv").write_text("\n".join(lines))
    args = options.parser(None, experiment="scratch")
    monkeypatch.setattr(sys, "argv", ["scratch", "--quiet", "--data", *words.split()])
    args = options.parsed(args)
    assert args.task == "text"
    sets = texts.load(args, None)
    assert sets.classes == ("rainy", "sunny")
    assert sorted(sets.train.texts + sets.validation.texts) == sorted(each for each, _ in made)


@pytest.mark.parametrize(
    ("words", "layers"),
    [
        ("--data stdlib", ["last", "all", "last"]),
        ("--data stdlib --layers last", ["last", "last", "last"]),
        ("--data stdlib --layers all", ["last", "all", "all"]),
        ("--data critters", ["last", "last", "last"]),
        ("--data critters --layers all", ["last", "all", "all"]),
    ],
)
def test_heads_on_features_of_texts_read_all_layers_unless_told(words, layers, here, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["ladder", "--quiet", *words.split()])
    args = options.parsed(options.parser(None, experiment="ladder"))
    rungs = ("scratch", "linear", "differential")
    assert [options.network_of(rung, args).layers for rung in rungs] == layers


def test_photographs_are_told_from_texts(tmp_path):
    (tmp_path / "folder" / "cat").mkdir(parents=True)
    assert not holds_texts(str(tmp_path / "folder"))  # empty: an ordinary message
    for name in ("notes.txt", "cat.png"):
        (tmp_path / "folder" / "cat" / name).write_bytes(b"x")
    assert not holds_texts(str(tmp_path / "folder"))
    assert not any(map(holds_texts, ("", "folder:", "csv:", "csv:nowhere.csv", "tfds:mnist")))
    table = tmp_path / "t.csv"
    for head, told in (
        ("file,label,text", False),
        ("name,label,comment", False),
        ("id,text,label", True),
        ("label\tsentence", True),
        ('"Text";"Label"', True),
        ("", False),
    ):
        table.write_text(f"{head}\n")
        assert holds_texts(str(table)) is told, head


def test_commands_for_photographs_refuse_texts(here, monkeypatch, capsys):
    """They said that line 2 names no photograph."""
    (here / "rows.csv").write_text("text,label\na b,c\n")
    (here / "crossed").mkdir(exist_ok=True)
    settings = {"arguments": {"task": "text"}, "data": {"source": "reviews", "digest": "0"}}
    (here / "crossed" / "config.json").write_text(json.dumps(settings))
    (here / "crossed" / "results.json").write_text('{"data": {"size": 8}, "rungs": []}')
    for command, words in (
        (transferability.main, f"transferability --data rows.csv --weights {BASE}"),
        (suspects.main, "suspects --run crossed"),
    ):
        monkeypatch.setattr(sys, "argv", words.split())
        with pytest.raises(SystemExit):
            running.run(command)
        said = capsys.readouterr().err
        assert "photographs, found " in said
        assert said.count("\n") == 1
