"""Data sets of a stranger: masks, tables of labels, texts and vocabularies, damaged or edited."""

import io
import json
import shutil

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from tljax.data.text import vocabulary

STRICT = settings(
    deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
fraction = st.floats(0, 1, allow_nan=False)
places = fraction | fraction.map(lambda at: at**4)
flips = st.lists(st.tuples(places, st.integers(0, 7)), max_size=4)
cuts = st.none() | fraction


def damaged(data: bytes, flips: list, cut: float | None) -> bytes:
    """Bits flipped at fractions of the length, the rest after `cut` left out."""
    content = bytearray(data)
    for at, bit in flips if content else []:
        content[int(at * (len(content) - 1))] ^= 1 << bit
    return bytes(content if cut is None else content[: int(cut * len(content))])


def run(read, cases, *strategies):
    """Call the decorated function with drawn values; some are read and some refused."""
    read.counts.update(read=0, refused=0)

    def decorate(each):
        settings(STRICT, max_examples=cases)(given(*strategies)(each))()
        print(read.kind, each.__name__, read.counts)
        assert min(read.counts.values()) > 0

    return decorate


def written(folder, files: dict[str, bytes]) -> None:
    """The folder has these files and no others."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def png(pixels: np.ndarray, mode: str, **options) -> bytes:
    image = Image.fromarray(pixels)
    image = image if image.mode == mode else image.convert(mode)
    image.save(stream := io.BytesIO(), "PNG", **options)
    return stream.getvalue()


def photograph(seed: int, side: int = 4) -> bytes:
    return png(np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8), "RGB")


def mask(mode: str, most: int, side: int, seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, most + 1, (side, side)).astype(np.uint8)
    if mode == "I;16":
        pixels = pixels.astype(np.uint16)
    if mode != "P":
        return png(pixels, mode)
    image = Image.fromarray(pixels, "L").convert("P")
    image.putdata(pixels.ravel().tolist())
    image.save(stream := io.BytesIO(), "PNG", bits=8 if most > 15 else 4)
    return stream.getvalue()


MASKS = {f"masks/{i}.png": mask("L", 2, 4, i) for i in range(4)}
IMAGES = {f"images/{i}.png": photograph(i) for i in range(4)}
LEGENDS = [b"a\nb\nc\n", b"a\nb", b"a\n\nc", b"", b"\xff", b"a\na\nc"]
LEGENDS = st.none() | st.none() | st.sampled_from(LEGENDS) | st.binary(max_size=12)
FILES = st.sampled_from([*MASKS, *IMAGES])
OTHERS = st.builds(
    mask,
    st.sampled_from(["L", "P"]) | st.sampled_from(["1", "RGB", "LA", "I;16"]),
    st.sampled_from([0, 1, 2, 9, 255]),
    st.sampled_from([4, 4, 4, 3, 1]),
    st.integers(0, 9),
)


def cases_of_masks(read, folder, *, cases):
    whole = IMAGES | MASKS

    @run(read, cases // 2, FILES, flips, cuts, st.booleans(), LEGENDS)
    def flipped(name, flips, cut, deleted, legend):
        files = whole | {name: damaged(whole[name], flips, cut)}
        if deleted and cut is None:
            del files[name]
        written(folder, files | ({} if legend is None else {"classes.txt": legend}))
        read(folder)

    @run(read, cases // 2, st.lists(OTHERS, min_size=1, max_size=4), LEGENDS)
    def other(masks, legend):
        drawn = {f"masks/{i}.png": content for i, content in enumerate(masks)}
        written(folder, whole | drawn | ({} if legend is None else {"classes.txt": legend}))
        read(folder)


WORDS = ["cat", "dog", "Cat", "0", "1", "2.5", "1e400", "1e39", "1_0", "nan", "", " ", '"', "\0"]
WORDS += ["cat;dog", "a\nb", "\u202e", "é", "e\u0301", "\ufeff", "x" * 300, "=1", "train", "test"]
CELLS = st.sampled_from(WORDS) | st.text(max_size=4)
NAMES = st.sampled_from(["0.png", "1.png", "2", "3.png"]) | st.sampled_from(
    ["/", "..", ".", "", "../0.png", "9.png", "a\0b", "n" * 300, "\\0.png", "cache", "0.PNG"]
)
GOOD = {
    "classes": ["cat", "dog", "cat", "dog"],
    "lists": ["cat;dog", "dog", "cat", ""],
    "marks": ["1,0", "0,1", "1,1", "0,0"],
    "numbers": ["1,2", "2.5,0", "-1,1e3", "4,4"],
}
HEADS = {"classes": "label", "lists": "label", "marks": "cat,dog", "numbers": "cat,dog"}


def quoted(cells) -> str:
    return ",".join('"' + cell.replace('"', '""') + '"' for cell in cells)


def cases_of_tables(read, folder, *, cases, kind):
    lines = [f"{i}.png,{cells}" for i, cells in enumerate(2 * GOOD[kind])]
    whole = ("\n".join([f"file,{HEADS[kind]}", *lines]) + "\n").encode()
    photographs = {f"{i}.png": photograph(i) for i in range(8)}
    width = 2 + HEADS[kind].count(",")
    good = st.sampled_from([cells.split(",") for cells in GOOD[kind]])
    edits = st.tuples(
        st.integers(1, 8) | st.integers(0, 8),
        good | st.lists(CELLS, min_size=width - 1, max_size=width),
    )

    @run(read, cases // 2, flips, cuts)
    def flipped(flips, cut):
        written(folder, photographs | {f"{kind}.csv": damaged(whole, flips, cut)})
        read(folder / f"{kind}.csv")

    @run(
        read,
        cases // 2,
        st.lists(edits, max_size=3),
        st.lists(st.tuples(NAMES, CELLS), max_size=1) | st.just([]),
    )
    def edited(edits, more):
        rows = whole.decode().splitlines()
        for at, cells in edits:
            rows[at] = quoted([rows[at].split(",")[0], *cells])
        rows += [quoted([name, *[cell] * (width - 1)]) for name, cell in more]
        content = "\n".join(rows).encode("utf-8", "surrogatepass")
        written(folder, photographs | {f"{kind}.csv": content})
        read(folder / f"{kind}.csv")


TEXTS = {f"{name}/{i}.txt": f"{name} {i}".encode() for name in ("cat", "dog") for i in range(3)}
PATHS = st.sampled_from(["cat/0.txt", "dog/1.txt", "dog/2.txt"]) | st.sampled_from(
    [
        "e\u0301/0.txt",
        "é/0.txt",
        "Cat/0.txt",
        "validation/cat/0.txt",
        "test/dog/0.txt",
        "train/x",
        "0.txt",
    ]
)
CONTENTS = st.sampled_from(
    [b"", b"\xff\xfe", b"\xef\xbb\xbf", b" \n", b"cat 0", b"\0", b"\xed\xa0\x80"]
)
CONTENTS |= st.text(max_size=9).map(str.encode) | st.binary(max_size=9)
HEAD = st.sampled_from(["text,label", "text,label,split", "label;text", "text", "text,text,label"])


def cases_of_texts(read, folder, *, cases):
    @run(
        read,
        cases // 2,
        st.dictionaries(PATHS, CONTENTS, max_size=3),
        st.sampled_from([None, *TEXTS]),
    )
    def files(more, gone):
        written(folder, {name: text for name, text in TEXTS.items() if name != gone} | more)
        read(folder)

    table = "text,label\n" + "".join(f"a {i},{'ab'[i % 2]}\n" for i in range(6))

    @run(read, cases // 2, HEAD, st.lists(st.lists(CELLS, max_size=3), max_size=3), flips, cuts)
    def rows(head, more, flips, cut):
        content = table.replace("text,label", head) + "\n".join(map(quoted, more))
        content = content.encode("utf-8", "surrogatepass")
        written(folder, {"texts.csv": damaged(content, flips, cut)})
        read(folder / "texts.csv")


plain = st.none() | st.booleans() | st.integers(-1, 2**33) | st.text(max_size=6)
anything = plain | st.lists(plain, max_size=2) | st.dictionaries(st.text(max_size=4), plain)


def changed(document, path, value):
    """The document with the value in place of what the path of choices leads to."""
    if not path or not isinstance(document, dict | list) or not document:
        return value
    keys = list(document) if isinstance(document, dict) else range(len(document))
    at = keys[path[0] % len(keys)]
    copy = document.copy()
    copy[at] = changed(document[at], path[1:], value)
    return copy


def cases_of_vocabularies(read, folder, *, cases):
    whole = json.loads(vocabulary.trained(["the old dog saw one more hill"] * 3, size=280).text)
    bert = whole | {"model": {"type": "WordPiece", "unk_token": "[UNK]"}, "pre_tokenizer": None}
    bert["model"] |= {"vocab": {"[PAD]": 0, "[UNK]": 1, "a": 2, "[END]": 3}}
    bert["model"] |= {"continuing_subword_prefix": "##", "max_input_chars_per_word": 100}
    documents, path = st.sampled_from([whole, bert]), st.lists(st.integers(0, 40), max_size=5)

    @run(read, cases // 2, documents, path, anything)
    def edited(document, path, value):
        content = json.dumps(changed(document, path, value)).encode("utf-8", "surrogatepass")
        written(folder, {"tokenizer.json": content})
        read(folder / "tokenizer.json")

    @run(read, cases // 2, flips, cuts)
    def flipped(flips, cut):
        written(folder, {"tokenizer.json": damaged(json.dumps(bert).encode(), flips, cut)})
        read(folder / "tokenizer.json")


CASES = {
    "masks": cases_of_masks,
    "texts": cases_of_texts,
    "tokens": cases_of_vocabularies,
}


@pytest.mark.parametrize("kind", list(CASES))
def test_data(reading, tmp_path, kind):
    CASES[kind](reading(kind), tmp_path / "case", cases=100)


@pytest.mark.parametrize("kind", list(GOOD))
def test_tables(reading, tmp_path, kind):
    cases_of_tables(reading("table"), tmp_path / "case", cases=100, kind=kind)


@pytest.mark.slow
@pytest.mark.parametrize("kind", list(CASES))
def test_much_data(reading, tmp_path, kind):
    CASES[kind](reading(kind), tmp_path / "case", cases=2000)


@pytest.mark.slow
@pytest.mark.parametrize("kind", list(GOOD))
def test_many_tables(reading, tmp_path, kind):
    cases_of_tables(reading("table"), tmp_path / "case", cases=2000, kind=kind)
