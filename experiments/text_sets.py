"""Turn corpora as NLTK distributes them into what tljax reads: CSV files, and text in UTF-8.

    python -m experiments.text_sets CORPORA OUT

`CORPORA/sentence_polarity` becomes `OUT/polarity.csv` (10,662 sentences of film reviews; a tenth
each for validation and test, by their digest), `CORPORA/qc` becomes `OUT/trec.csv` (questions of
six classes; the published test of 500, a tenth of the rest for validation), and abc, webtext,
state_union and inaugural become `OUT/running/*.txt`. Seconds.
"""

import csv
import hashlib
from collections.abc import Iterable
from pathlib import Path

from tljax.commands import cli

RUNNING = ("abc", "webtext", "state_union", "inaugural")
Row = tuple[str, str, str]  # text, label, split


def polarity(folder: Path) -> Iterable[Row]:
    """Yield the sentences of reviews, each once."""
    for label in ("neg", "pos"):
        lines = (folder / f"rt-polarity.{label}").read_text(encoding="utf-8").splitlines()
        for text in dict.fromkeys(line.strip() for line in lines if line.strip()):
            tenth = int(hashlib.sha256(text.encode()).hexdigest(), 16) % 10
            yield text, label, {0: "validation", 1: "test"}.get(tenth, "train")


def trec(folder: Path) -> Iterable[Row]:
    """Yield the questions with their coarse class; none of the test's is in training."""
    seen: set[str] = set()
    for name in ("test", "train"):
        for line in (folder / f"{name}.txt").read_text(encoding="latin-1").splitlines():
            label, _, text = line.partition(" ")
            if text in seen or not text:
                continue
            seen.add(text)
            tenth = int(hashlib.sha256(text.encode()).hexdigest(), 16) % 10
            split = name if name == "test" else "train" if tenth else "validation"
            yield text, label.partition(":")[0], split


def write(path: Path, rows: Iterable[Row]) -> None:
    """Write a table with the columns text, label and split."""
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(("text", "label", "split"))
        table.writerows(rows)
    print(path)


def main() -> None:
    """Run the command."""
    parser = cli.bare_parser(__doc__, experiment="text_sets")
    parser.add_argument("corpora", type=Path, help="the folder that holds sentence_polarity, qc")
    parser.add_argument("out", type=Path, help="where to write")
    args = parser.parse_args()
    running = args.out / "running"
    running.mkdir(parents=True, exist_ok=True)
    write(args.out / "polarity.csv", polarity(args.corpora / "sentence_polarity"))
    write(args.out / "trec.csv", trec(args.corpora / "qc"))
    for name in RUNNING:
        for path in sorted((args.corpora / name).glob("*.txt")):
            text = path.read_text(encoding="latin-1").replace("\r", "")
            (running / f"{name}-{path.name}").write_text(text, encoding="utf-8")
    print(running)


if __name__ == "__main__":
    main()
