"""The robustness of a run's rungs, or of other ways, as a part of a page or as a page."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from tljax.report.pages import document as pages
from tljax.report.pages.sections import html_table, picture, small_print
from tljax.report.pages.text import escape
from tljax.report.tables import shifted
from tljax.report.tables.table import percent
from tljax.runs.results import read_json

FILE, PICTURE = "shifted.json", "shifted.png"
TITLE = "On shifted photographs"


def of_run(workdir: Path) -> list[str]:
    """Format what `tljax shifted` left in a run's folder; empty where it was not run."""
    path = workdir / FILE
    return section(read_json(path), folder=workdir) if path.is_file() else []


def section(
    document: Mapping, *, folder: Path, title: str = TITLE, png: str = PICTURE
) -> list[str]:
    """Format the judgement as HTML lines: picture, table, differences, and each corruption."""
    about = f"{document['about']} Intervals: 95 %, over seeds, or over images for one seed."
    lines = "".join(f"<li>{escape(line)}</li>" for line in shifted.sentences(document))
    paired = (
        "Paired on the same photographs, 95 % intervals by bootstrap over seeds and photographs "
        "together; a photograph is drawn with all of its corruptions."
    )
    kinds = _kinds(document)
    return [
        f"<h2>{escape(title)}</h2>",
        small_print(about),
        '<div class="pictures">',
        picture(folder / png, alt=f"{title}: accuracy of each way"),
        html_table(shifted.head(document), shifted.rows(document)),
        "</div>",
        *([f"<ul>{lines}</ul>", small_print(paired)] if lines else []),
        *(["<h3>Each corruption</h3>", html_table(*kinds)] if kinds else []),
    ]


def write(
    document: Mapping, *, folder: Path, name: str, title: str, more: Sequence[str] = ()
) -> Path:
    """Write a page of its own, beside the picture `NAME.png`; `more` are lines of HTML below."""
    body = [f"<h1>{escape(title)}</h1>"]
    body += section(document, folder=folder, title="Accuracy", png=f"{name}.png")
    body += more
    return pages.write(folder / f"{name}.html", title, body)


def _kinds(document: Mapping) -> tuple[Sequence[str], list[list[str]]] | None:
    """Tabulate each corruption, severities together: a row for each kind, a column for each way."""
    ways = document["ways"]
    first = next(iter(ways.values()))["conditions"]
    kinds = list(dict.fromkeys(n.rpartition(" ")[0] for n in first if n[-1:].isdigit()))
    if not kinds:
        return None

    def mean(way: str, kind: str) -> str:
        of = [v for n, v in ways[way]["conditions"].items() if n.rpartition(" ")[0] == kind]
        return percent(sum(of) / len(of))

    names = [kind.replace("_", " ") for kind in kinds]
    rows = [[n, *(mean(way, kind) for way in ways)] for n, kind in zip(names, kinds, strict=True)]
    return ["", *ways], rows
