"""The frame of a self-contained HTML page: no script, no request, for phones and dark screens."""

from collections.abc import Iterable
from pathlib import Path

from tljax.files import disk
from tljax.report.pages.text import escape

# Text against paper and box at 4.5 to 1 or more (WCAG 2.2, 1.4.3), light and dark;
# tests/report/test_document.py.
LIGHT = {
    "ink": "#222222",
    "faint": "#5d5d5d",
    "wrong": "#b3001b",
    "held": "#d55e00",
    "rule": "#d8d8d8",
    "paper": "#ffffff",
    "box": "#f4f4f2",
}
DARK = {
    "ink": "#e6e6e3",
    "faint": "#a5a5a0",
    "wrong": "#ff8a8a",
    "held": "#ff9a5c",
    "rule": "#3d3d3d",
    "paper": "#181818",
    "box": "#242424",
}

_LAYOUT = """
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 1.5rem 1rem 3rem; overflow-wrap: break-word;
  background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif;
  -webkit-text-size-adjust: 100%; }
h1 { font-size: 1.5rem; line-height: 1.3; margin: 0 0 .5rem; max-width: 62rem; }
.about { color: var(--faint); }
h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
p { margin: .5rem 0; }
ul { margin: .5rem 0; padding-left: 1.25rem; }
.note { color: var(--faint); font-size: .875rem; white-space: pre-line; margin-bottom: 1rem; }
pre { background: var(--box); padding: .75rem; border-radius: .4rem; margin: .5rem 0;
  font-size: .85rem; white-space: pre-wrap; overflow-wrap: anywhere; }
.command span { display: inline-block; max-width: 100%; }
/* A table wider than the page scrolls in a box of its own, past its first column, which stays. A
   shadow at the right edge shows that there is more; at the end of the table paper covers it. */
.table { overflow-x: auto;
  background:
    linear-gradient(to left, var(--paper) 50%, transparent) right/3rem 100% no-repeat local,
    linear-gradient(to left, var(--rule), transparent) right/1rem 100% no-repeat scroll; }
.table th:first-child { position: sticky; left: 0; background: var(--paper); }
table { border-collapse: collapse; width: 100%; font-size: .9rem;
  font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .4rem .5rem; border-bottom: 1px solid var(--rule);
  vertical-align: baseline; }
thead th { color: var(--faint); font-weight: 600; }
th:first-child { text-align: left; min-width: 8rem; overflow-wrap: anywhere; }
td small { font-size: inherit; white-space: nowrap; }
.texts td, .texts th { text-align: left; overflow-wrap: anywhere; white-space: normal; }
.pictures { display: grid; gap: 1rem; align-items: start;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 28rem), 1fr)); }
.small { grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr)); }
.stacked { columns: 28rem; column-gap: 1rem; }
.stacked img, .pictures > div img { margin: 0 0 1rem; }
img { display: block; width: 100%; max-width: 40rem; height: auto; border-radius: .4rem;
  border: 1px solid var(--rule); }
.climb { display: grid; gap: .35rem; }
.rung { display: grid; gap: 0 1rem; align-items: center; font-variant-numeric: tabular-nums;
  grid-template-columns: 17rem minmax(0, 1fr); }
.paired .rung { grid-template-columns: 17rem minmax(0, 1fr) 13rem minmax(0, .6fr); }
.heads { color: var(--faint); font-size: .875rem; }
.name { display: flex; flex-wrap: wrap; gap: 0 .5rem; justify-content: space-between; }
.name b { overflow-wrap: anywhere; } .alarm { color: var(--wrong); }
.rung small { color: var(--faint); font-size: .8125rem; white-space: nowrap; }
.rung .none b { font-weight: 400; } .rung > .none { color: var(--faint); }
.track { position: relative; height: 1.75rem; } .track i { position: absolute; }
.track .tick { top: 0; bottom: 0; width: 1px; background: var(--rule); }
.track .zero { top: 0; bottom: 0; width: 1px; background: var(--ink); }
.track .bar { top: 30%; height: 40%; min-width: 2px; }
.track .bar.held { background: var(--held); opacity: .45; }
.track .bar.none { background: var(--faint); opacity: .35; }
.track .mean { top: 15%; height: 70%; width: 3px; margin-left: -1.5px; background: var(--ink); }
.track .dot { width: 6px; height: 6px; margin: -3px; border-radius: 3px; background: var(--ink);
  opacity: .6; }
.labels span { position: absolute; transform: translateX(-50%); font-size: .8125rem;
  color: var(--faint); white-space: nowrap; }
.strip { display: grid; gap: .75rem; margin-top: 1.5rem;
  grid-template-columns: repeat(auto-fit, minmax(7rem, 1fr)); }
figure { margin: 0; } figcaption { font-size: .875rem; line-height: 1.35; padding-top: .3rem;
  overflow-wrap: anywhere; }
.wrong b { color: var(--wrong); }
.photos { display: grid; gap: 1rem .75rem;
  grid-template-columns: repeat(auto-fill, minmax(8.5rem, 1fr)); }
.seen { display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 20rem), 1fr)); }
.seen figure > div { display: grid; grid-template-columns: repeat(3, 1fr); gap: .4rem; }
.legend { display: flex; flex-wrap: wrap; gap: .25rem 1rem; font-size: .875rem; }
.legend i { display: inline-block; width: .8em; height: .8em; margin-right: .35em;
  border-radius: 2px; }
h3 { font-size: 1rem; margin: 1rem 0 .35rem; }
.tiles { display: grid; gap: .75rem .5rem; margin-bottom: .75rem;
  grid-template-columns: repeat(var(--across), minmax(0, 10rem)); }
.tiles figcaption { font-size: .8125rem; overflow-wrap: anywhere; }
summary { cursor: pointer; font-weight: 600; margin-top: 2rem; }
dl { display: grid; gap: .15rem 1rem; margin: .75rem 0;
  grid-template-columns: minmax(4rem, max-content) minmax(0, 1fr); }
dt { color: var(--faint); } dd { margin: 0; overflow-wrap: anywhere; }
@media (max-width: 60rem) {
  .heads { display: none; }
  .rung, .paired .rung { grid-template-columns: minmax(0, 1fr); }
  .paired .rung { border-top: 1px solid var(--rule); padding-top: .35rem; }
  .paired .rung > div:empty { display: none; }
  .track { margin: 0 1rem; }
  .paired .axes .labels ~ * { display: none; } .rung.axes { border: 0; padding: 0; order: -1; }
}
@media (max-width: 48rem) {
  .tiles { grid-template-columns: repeat(4, minmax(0, 1fr)); }
  thead { display: none; }
  table, tbody, tr, th, td { display: block; }
  tr { border-bottom: 1px solid var(--rule); padding: .6rem 0; }
  th, td { border: 0; padding: .1rem 0; text-align: left; }
  td { display: grid; grid-template-columns: 9.5rem minmax(0, 1fr); gap: .75rem; }
  td::before { content: attr(data-label); color: var(--faint); }
}
@media print { .table { overflow: visible; } }
/* Charts are drawn on white: turned over in the dark, hues kept. Photographs stay as they are. */
@media (prefers-color-scheme: dark) {
  .chart { filter: invert(.906) hue-rotate(180deg); border-color: #d8d8d8; }
}
"""


def document(title: str, body: Iterable[str]) -> str:
    """Build a whole page; `title` is text, `body` lines of HTML, empty ones left out."""
    head = [
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title>",
        # Without an icon of its own the page would make a browser ask the server for one.
        '<link rel="icon" href="data:,">',
        f"<style>{_colours()}{_LAYOUT}</style>",
    ]
    lines = [
        "<!DOCTYPE html>",
        '<html lang="en"><head>',
        *head,
        "</head><body>",
        *body,
        "</body></html>",
    ]
    return "\n".join(line for line in lines if line) + "\n"


def write(path: Path, title: str, body: Iterable[str]) -> Path:
    """Write the page to a file."""
    # A folder's name may hold bytes that are no UTF-8; they arrive as lone surrogates.
    return disk.write(path, document(title, body).encode(errors="replace"))


def _colours() -> str:
    light, dark = (
        " ".join(f"--{name}: {value};" for name, value in of.items()) for of in (LIGHT, DARK)
    )
    return (
        f"\n:root {{ color-scheme: light dark; {light} }}\n"
        f"@media (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}"
    )
