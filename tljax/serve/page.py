"""The page: a place to drop a photograph, its classes as bars, and where the network looked."""

# pyright: strict

import base64
import hashlib
from html import escape

from tljax.train.outcome.trained import Trained

STYLE = """
:root { color-scheme: light dark; --line: #8886; --bar: #0072b2; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 44rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; margin: 0; }
.about { margin: 0 0 1.5rem; opacity: .75; overflow-wrap: anywhere; }
label { display: block; border: 2px dashed var(--line); border-radius: .5rem; cursor: pointer;
  padding: 2rem 1rem; text-align: center; }
label:focus-within, label.over { border-color: var(--bar); }
input { position: absolute; opacity: 0; width: 1px; }
[role=status] { min-height: 1.5em; margin: 1rem 0; overflow-wrap: anywhere; }
figure { display: inline-block; vertical-align: top; margin: 0 1rem 1rem 0; max-width: 20rem; }
img { display: block; width: 100%; border-radius: .25rem; }
figcaption { opacity: .75; font-size: .9rem; }
ol { list-style: none; padding: 0; }
li { display: grid; grid-template-columns: minmax(0, 1fr) 4.5em; overflow-wrap: anywhere; }
li span { text-align: right; font-variant-numeric: tabular-nums; }
meter { grid-column: 1 / 3; width: 100%; height: .7rem; }
"""
SCRIPT = """
const [label, input, status, result] = ['label', 'input', '[role=status]', '#result']
  .map(name => document.querySelector(name));
const make = (name, text) => Object.assign(document.createElement(name), {textContent: text});
const picture = (source, text) => {
  const figure = make('figure', ''), image = make('img', '');
  Object.assign(image, {src: source, alt: text});
  figure.append(image, make('figcaption', text));
  return figure;
};
let newest = 0;
async function classify(file) {
  const number = ++newest;
  status.textContent = 'looking at it …';
  result.replaceChildren();
  let answer;
  try {
    answer = await (await fetch('/classify', {method: 'POST', body: file})).json();
  } catch (error) {
    answer = {error: 'no answer: is tljax serve still running?'};
  }
  if (number !== newest) return;
  status.textContent = answer.error || '';
  if (answer.error) return;
  const list = make('ol', '');
  for (const {name, probability} of answer.classes) {
    const row = make('li', name), bar = make('meter', '');
    bar.value = probability;
    row.append(make('span', (100 * probability).toFixed(1) + ' %'), bar);
    list.append(row);
  }
  if (answer.others) list.append(make('li', 'and ' + answer.others + ' more classes'));
  result.append(list, picture(answer.photograph, 'as the network sees it'),
    picture(answer.overlay, 'HiResCAM of ' + answer.layer + ': what speaks for '
      + answer.classes[0].name));
}
input.addEventListener('change', () => input.files.length && classify(input.files[0]));
for (const kind of ['dragover', 'dragleave', 'drop'])
  document.addEventListener(kind, event => {
    event.preventDefault();
    label.classList.toggle('over', kind === 'dragover');
    if (kind === 'drop' && event.dataTransfer.files.length) classify(event.dataTransfer.files[0]);
  });
"""


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


POLICY = (
    f"default-src 'none'; script-src {_hash(SCRIPT)}; style-src {_hash(STYLE)}; "
    "img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def page(trained: Trained) -> str:
    """Write the page of a classifier, whole: it asks for nothing but answers."""
    scores = trained.scores.get("test") or trained.history.result()["validation"]
    measure = trained.task.measures[0]
    accuracy = f"{measure.shown(scores[measure.name])} of {scores['n']:,} held-out photographs"
    about = f"{trained.rung}, seed {trained.seed}: {len(trained.classes)} classes; {accuracy}"
    names = ", ".join(trained.classes[:20]) + (" …" if len(trained.classes) > 20 else "")
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>tljax: {escape(trained.rung)}</title><style>{STYLE}</style></head>
<body><h1>What is on the photograph?</h1>
<p class="about">{escape(about)}<br>{escape(names)}</p>
<label>Drop a photograph here, or choose one<input type="file" accept="image/*"></label>
<p role="status"></p><div id="result"></div>
<p class="about">It stays on this machine. A classifier knows its own classes only, and names one
of them for anything.</p>
<script>{SCRIPT}</script></body></html>"""
