import hashlib
import json
import re

import jax
import numpy as np
import pytest

from tljax.data import Places, Tolerance
from tljax.data.text import docstrings, load, running, sources, vocabulary
from tljax.data.text.augment import Offsets, TokenDropout
from tljax.data.text.sets import TextSet, few
from tljax.errors import InputError

WORDS = tuple(
    "the cat sat on a mat while one dog ran over two hills and saw three red birds".split()  # noqa: SIM905
)


def sentence(number: int) -> str:
    places = np.random.default_rng(number).integers(0, len(WORDS), 4 + number % 9)
    return " ".join([WORDS[i] for i in places] + [str(number)])


@pytest.fixture(scope="module")
def words():
    return vocabulary.trained([sentence(i) for i in range(300)], size=400)


@pytest.fixture
def folder(tmp_path):
    for number in range(60):
        place = tmp_path / "texts" / "train" / ("even", "odd")[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{number:02d}.txt").write_text(sentence(number))
    return tmp_path / "texts"


@pytest.fixture
def read(words, tmp_path):
    def read(source, **options):
        given = {"size": 128, "places": Places(tmp_path / "cache"), "progress": False} | options
        return load.load(str(source), vocabulary=words, **given)

    return read


def table(path, *lines):
    path.write_text("text,label,split\n" + "\n".join(lines), encoding="utf-8")
    return path


def test_a_vocabulary_is_the_same_each_time_and_loses_nothing(words):
    again = vocabulary.trained([sentence(i) for i in range(300)], size=400)
    assert again == words
    assert again.digest == hashlib.sha256(words.text.encode()).hexdigest()
    stored = vocabulary.read(words.to_dict()["tokenizer"], where="here")
    assert stored == words
    assert words.size <= 400
    text = "The cat: naïve, 漢字!"
    (ids,) = words.encode([text])
    assert ids[-1] == 2
    assert not {0, 1} & set(ids)  # bytes: no padding, nothing unknown
    covered = {c for first, last in words.pieces(text) for c in range(first, last)}
    assert covered >= {i for i, c in enumerate(text) if c != " "}


def test_a_vocabulary_is_learnt_from_long_words_in_pieces(monkeypatch):
    """A minified file, a sequence of bases: the time of one long word grew as its square."""
    few, most = [sentence(i) for i in range(50)], vocabulary.LONGEST
    found = vocabulary.trained([*few, "ab" * 2000], size=4000)
    assert 50 < max(map(len, json.loads(found.text)["model"]["vocab"])) <= most + 1
    usual = [*few, "ab" * (most // 2 - 1)]
    found = vocabulary.trained(usual, size=4000)
    monkeypatch.setattr(vocabulary, "_LONG", re.compile("(?!)"))
    assert vocabulary.trained(usual, size=4000) == found


def test_rows_are_cut_before_their_last_token(words):
    found = words.padded([[5, 6, 7, 2], [8, 2]], length=3)
    np.testing.assert_array_equal(found, [[5, 6, 2], [8, 2, 0]])
    assert found.dtype == np.int32


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (b"not json", "expected a tokenizer.json"),
        (b"{}", "expected a tokenizer.json"),
        (b"\xff\xfe", "expected a tokenizer.json"),
    ],
)
def test_what_is_no_vocabulary_is_named(text, fault):
    with pytest.raises(InputError, match=f"^x: {fault}"):
        vocabulary.read(text, where="x")


def test_a_vocabulary_that_pads_otherwise_is_named(words):
    with pytest.raises(InputError, match=r"expected token 0 to be \[PAD\], found '\[GAP\]'"):
        vocabulary.read(words.text.replace("[PAD]", "[GAP]"), where="x")


def test_a_folder_and_a_table_say_the_same(folder, read, tmp_path, words):
    sets = read(f"folder:{folder}")
    assert sets.classes == ("even", "odd")
    assert (len(sets.train), len(sets.validation)) == (48, 12)
    longest = max(len(row) for row in words.encode(sets.train.texts))
    assert sets.size == -(-longest // 8) * 8
    assert (sets.spec.shape, sets.spec.dtype) == ((1, sets.size), np.int32)
    assert f"12 validation texts of {sets.size} tokens, 100.0 % of them whole" in sets.counts()
    lines = [f'"{sentence(i)}",{("even", "odd")[i % 2]},train' for i in range(60)]
    same = read(table(tmp_path / "all.csv", *lines))
    for part, other in ((sets.train, same.train), (sets.validation, same.validation)):
        rows = sorted(zip(part.texts, part.labels.tolist(), part.inputs.tolist(), strict=True))
        theirs = zip(other.texts, other.labels.tolist(), other.inputs.tolist(), strict=True)
        assert rows == sorted(theirs)
    for text, row in zip(sets.train.texts, sets.train.inputs, strict=True):
        (ids,) = words.encode([text])
        assert row[row != 0].tolist() == ids


def test_a_cached_reading_is_the_same_and_another_text_another_set(folder, read):
    first, again = read(folder), read(folder)
    np.testing.assert_array_equal(first.train.inputs, again.train.inputs)
    assert first.digest == again.digest
    (folder / "train" / "odd" / "01.txt").write_text("quite another text")
    assert read(folder).digest != first.digest
    assert read(folder, size=8).digest != read(folder).digest
    assert read(folder, size=8).train.inputs.shape[1] == 8


def test_splits_of_a_table_are_its_own(read, tmp_path):
    lines = ["a b c,x,train", "d e f,y,train", "a b d,x,val", "d f g,y,val", "h i,x,test"]
    sets = read(table(tmp_path / "t.csv", *lines))
    assert [len(part) for part in sets.splits.values()] == [2, 2, 1]
    assert sets.test.ids == ("t.csv:6",)
    assert sets.train.labels.tolist() == [0, 1]


FAULTS = {
    "expected UTF-8 text, found byte 0xe9 at 3": lambda f: (f / "train/odd/01.txt").write_bytes(
        b"caf\xe9"
    ),
    "expected a text, found an empty file": lambda f: (f / "train/odd/01.txt").write_text(" \n"),
    r"expected texts \(\*\.txt\) of class none, found none": lambda f: (f / "train/none").mkdir(),
    "texts have the same bytes as one of another class": lambda f: (
        f / "train/odd/01.txt"
    ).write_text(sentence(0)),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_folder_at_fault_is_named(fault, folder, read):
    FAULTS[fault](folder)
    with pytest.raises(InputError, match=fault) as raised:
        read(folder)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        (["a b,x"], "line 2: expected 3 columns, found 2"),
        (["a b,,train", "c,y,train"], "line 2: expected a text and a label, found no label"),
        (["  ,x,train", "c,y,train"], "line 2: expected a text and a label, found no text"),
        (["a b,x,elsewhere"], "line 2: expected a split train, validation or test"),
        (["a b,x,test", "c,y,test"], "expected texts for train, found none"),
        (["a b,x,train", "c d,x,train"], "expected two or more classes"),
        (["a b,x,train", "c d,y,train", "a b,x,val", "e,y,val"], "same bytes as a training text"),
    ],
)
def test_a_table_at_fault_is_named(lines, fault, read, tmp_path):
    with pytest.raises(InputError, match=fault):
        read(table(tmp_path / "t.csv", *lines))


def test_a_table_without_a_column_of_texts_is_named(read, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("words,label\na b,x\n")
    with pytest.raises(InputError, match=r"expected a column text or .* found words, label"):
        read(path)
    path.write_bytes(b"text,label\na b,x\ncaf\xe9,x\n")
    with pytest.raises(InputError, match=r"t\.csv: line 3: expected UTF-8 text, found byte 0xe9"):
        read(path)
    path.write_bytes(b"")
    with pytest.raises(InputError, match="in the first line, found nothing"):
        read(path)


def test_columns_of_a_table_may_be_named(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("text,Body,label,kind\nno,a b,0,x\nno,c d,0,y\n")
    found = load.listed(str(path), columns=sources.Columns("body", "Kind"))
    assert sources.read(found.listings["train"], source="t") == ["a b", "c d"]
    assert found.classes == ("x", "y")


def test_lines_are_counted_as_an_editor_does(read, tmp_path):
    """A cell in quotes may hold several lines."""
    path = table(tmp_path / "t.csv", '"a\nb\n\nc",x,train', "d,y,train", "e,y")
    with pytest.raises(InputError, match=r"t\.csv: line 7: expected 3 columns, found 2"):
        read(path)


def test_texts_that_are_left_out_are_counted(folder, read):
    (folder / "test").mkdir()  # an empty test split is none
    (folder / "train" / "odd" / "more").mkdir()
    (folder / "train" / "odd" / "more" / "1.txt").write_text("a")
    (folder / "readme.md").write_text("a")
    sets = read(folder)
    assert sets.test is None
    assert sets.left_out == (
        "1 in a folder below a class, such as train/odd/more/1.txt",
        "no texts: 1 .md",
    )
    assert "left out: 1 in a folder below a class" in sets.counts()


def test_the_same_text_twice_may_be_allowed(read, tmp_path):
    lines = ["a b,x,train", "c d,y,train", "a b,x,val", "e,y,val"]
    tolerance = Tolerance(allow_duplicates=True)
    assert len(read(table(tmp_path / "t.csv", *lines), tolerance=tolerance).validation) == 2


def test_other_sources_are_named(read):
    with pytest.raises(InputError, match="expected folder:PATH, csv:FILE, tfds:NAME, or stdlib"):
        read("nowhere")


def test_few_keeps_the_same_share_of_each_class(read, tmp_path):
    lines = [f"{sentence(i)},{'x' if i % 4 else 'y'},train" for i in range(80)]
    sets = read(table(tmp_path / "t.csv", *lines, "q,x,val", "r,y,val"))
    part = few(sets, 20, seed=0)
    assert np.bincount(part.train.labels).tolist() == [15, 5]
    assert set(part.train.ids) <= set(sets.train.ids)
    assert few(sets, 20, seed=0).digest == part.digest
    assert set(few(sets, 20, seed=1).train.ids) != set(part.train.ids)
    assert set(few(sets, 21, seed=0).train.ids) > set(part.train.ids)
    with pytest.raises(InputError, match="expected 2 to 80 training texts, found 81"):
        few(sets, 81, seed=0)


def test_dropped_tokens_follow_from_the_key_alone():
    tokens = np.tile(np.arange(1, 41, dtype=np.int32), (200, 1))
    tokens[:, 30:] = 0
    keys = jax.random.split(jax.random.key(0), 200)
    found = np.asarray(TokenDropout(0.25)(tokens, keys=keys))
    assert np.all((found == tokens) | (found == 0))
    assert {*found[:, 0], *(found[:, 29] - 29)} == {1}  # first and last stay
    share = (found[:, 1:29] == 0).mean()
    assert abs(share - 0.25) < 0.03
    one = np.asarray(TokenDropout(0.25)(tokens[7:8], keys=keys[7:8]))
    np.testing.assert_array_equal(one[0], found[7])
    np.testing.assert_array_equal(TokenDropout(0.25)(tokens, keys=keys, strength=0.0), tokens)
    with pytest.raises(InputError, match=r"TokenDropout\.share"):
        TokenDropout(1.0)


def test_windows_begin_anywhere_and_are_followed_by_the_next_token():
    windows = np.arange(64, dtype=np.int32)[None] + 1000 * np.arange(50, dtype=np.int32)[:, None]
    keys = jax.random.split(jax.random.key(1), 50)
    offsets = Offsets(32)
    found = np.asarray(offsets(windows, keys=keys))
    starts = found[:, 0] - 1000 * np.arange(50)
    assert set(starts.tolist()) <= set(range(32))
    assert len(set(starts.tolist())) > 15
    np.testing.assert_array_equal(found, windows[:, :1] + starts[:, None] + np.arange(32))
    np.testing.assert_array_equal(offsets.following(windows, keys), found + 1)


def test_running_text_is_all_there_in_windows(tmp_path, words):
    texts = [" ".join(sentence(i) for i in range(j, j + 5)) for j in range(0, 200, 5)]
    (tmp_path / "a.txt").write_text("\n\n".join(texts))
    sets = running.load(f"text:{tmp_path}", size=16, vocabulary=words)
    train, held = sets.train, sets.validation
    assert (sets.size, sets.spec.shape) == (16, (1, 16))
    assert (train.inputs.shape[1], held.inputs.shape[1]) == (32, 16)
    np.testing.assert_array_equal(held.inputs[:, 1:], held.labels[:, :-1])
    np.testing.assert_array_equal(train.inputs[:-1, 16:], train.inputs[1:, :16])
    rows = {text: words.encode([text])[0] for text in texts}
    count = sum(map(len, rows.values()))
    pair = sets.about.replace(",", "")
    said = [int(word) for word in pair.replace("(", " ").split() if word.isdigit()][1:]
    assert sum(said) == count
    assert 0 < said[1] < said[0]
    with pytest.raises(InputError, match="expected 4000 tokens or more, for windows of 2000"):
        running.load(str(tmp_path / "a.txt"), size=2000, vocabulary=words)
    with pytest.raises(InputError, match="source of running text: expected text:PATH"):
        running.load("text:nowhere", size=16)


def test_the_test_split_of_a_table_is_no_running_text(tmp_path):
    path = table(tmp_path / "t.csv", "a b,x,train", "c d,y,val", "secret,x,test")
    assert running.texts_of(str(path)) == ["a b", "c d"]


def test_sentences_of_the_standard_library():
    found = docstrings.sentences()
    assert found.classes == docstrings.PACKAGES
    listing = found.listings["train"]
    counts = np.bincount(listing.labels)
    assert counts.min() >= 100
    texts = sources.read(listing, source="stdlib")
    assert len(set(texts)) == len(texts)
    assert all(">>>" not in text for text in texts)


def test_tokens_are_checked():
    with pytest.raises(InputError, match=r"expected tokens int32 \[N, T\], found float32 \(2, 3\)"):
        TextSet(np.zeros((2, 3), np.float32), np.zeros(2, np.int32), ("a", "b"))
    with pytest.raises(InputError, match="labels: expected 2, one for each text, found 3"):
        TextSet(np.zeros((2, 3), np.int32), np.zeros(3, np.int32), ("a", "b"))


def test_a_vocabulary_without_a_token_for_a_text_is_refused(words):
    """Unknown words without their token, and tokens beyond the embedding's rows."""
    document = json.loads(words.text)
    model = {"type": "WordPiece", "unk_token": "", "vocab": {"[PAD]": 0, "a": 1}}
    model |= {"continuing_subword_prefix": "##", "max_input_chars_per_word": 9}
    plain = document | {"model": model, "post_processor": None, "added_tokens": []}
    with pytest.raises(InputError, match=r"^x: expected a tokenizer.json: .*Missing \[UNK\]"):
        vocabulary.read(json.dumps(plain), where="x")
    plain["model"] = model | {"unk_token": "a", "vocab": {"[PAD]": 0, "a": 900}}
    with pytest.raises(InputError, match=r"^x: expected 2 tokens to be numbered .* token 900"):
        vocabulary.read(json.dumps(plain), where="x")


def test_folders_of_texts_that_read_alike_are_refused(tmp_path):
    for name in ("\u00e9", "e\u0301", "dog"):
        (tmp_path / "t" / name).mkdir(parents=True)
        (tmp_path / "t" / name / "0.txt").write_text(name)
    with pytest.raises(InputError, match="expected one folder of class"):
        load.listed(f"folder:{tmp_path / 't'}")
