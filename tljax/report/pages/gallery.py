"""The photographs of a run as parts of the page: a strip, those that are wrong, where it looks."""

import base64
import io
from collections.abc import Iterable

import numpy as np

from tljax.report.inside import maps as inside_maps
from tljax.report.pages.photographs import Photographs
from tljax.report.pages.sections import small_print
from tljax.report.pages.text import escape
from tljax.report.stats import scores

QUALITY = 85


def strip(photos: Photographs | None) -> list[str]:
    """Show photographs from all over validation, with what the network says; empty for none."""
    if not photos:
        return []
    figures = []
    for image, name, label, likely in zip(
        photos.seen, photos.seen_ids, photos.seen_labels, photos.seen_probabilities, strict=True
    ):
        wrong = int(label) != int(likely.argmax())
        truth = f", is {escape(str(photos.classes[int(label)]))}" if wrong else ""
        text = f"{_answer(photos, likely)}{truth}"
        figures.append(_figure([(image, str(name))], text, mark="wrong" if wrong else ""))
    note = f"What {photos.rung} says of photographs evenly through validation; red: wrong."
    return ['<div class="strip">', *figures, "</div>", small_print(note)]


def sections(photos: Photographs | None) -> list[str]:
    """Format the photographs as HTML lines; empty where there are none."""
    return [*_worst(photos), *_seen(photos)] if photos else []


def _worst(photos: Photographs) -> list[str]:
    figures = []
    for i in doubtful(photos):
        image, truth = photos.worst[i], int(photos.worst_labels[i])
        likely = photos.worst_probabilities[i]
        loss = f"loss {photos.worst_losses[i]:.2f}"
        lines = [_answer(photos, likely), f"is {escape(photos.classes[truth])}", loss]
        text = "<br>".join([*lines, file_name(str(photos.worst_ids[i]))])
        mark = "" if truth == int(likely.argmax()) else "wrong"
        figures.append(_figure([(image, str(photos.worst_ids[i]))], text, mark=mark))
    run = f"{photos.rung}, seed {photos.seed}"
    note = f"Of {photos.images:,} validation images, worst first, by {run}."
    if not figures:
        sure = f"each with {100 * scores.SURE:.0f} % or more"
        note = f"None: all {photos.images:,} validation images are right, {sure}, by {run}."
    return [
        "<h2>Wrong or doubtful</h2>",
        small_print(note),
        '<div class="photos">',
        *figures,
        "</div>",
    ]


def doubtful(photos: Photographs) -> list[int]:
    """List the places of the photographs that are wrong, or whose class has less than SURE."""
    return scores.doubtful(photos.worst_probabilities, photos.worst_labels).tolist()


def _seen(photos: Photographs) -> list[str]:
    figures = []
    for row, image in enumerate(photos.seen):
        likely, largest = photos.seen_probabilities[row], float(photos.maps[row].max())
        order = np.argsort(-likely, kind="stable")[:2]
        tiles = [(image, str(photos.seen_ids[row]))]
        for place, chosen in enumerate(order):
            alt = f"where {photos.rung} sees {photos.classes[chosen]}"
            tiles.append(
                (inside_maps.overlay(image, photos.maps[row, place], largest=largest), alt)
            )
        second = f"{escape(str(photos.classes[order[1]]))} {100 * likely[order[1]]:.0f} %"
        truth = int(photos.seen_labels[row])
        text = f"{_answer(photos, likely)}, right: {second}; is {escape(photos.classes[truth])}"
        figures.append(_figure(tiles, text, mark="" if truth == order[0] else "wrong"))
    note = (
        f"{_made(photos)}, {photos.rung}, seed {photos.seed}: the photograph, then what "
        "speaks for the class it says and, right, for the next likely one, both on one scale. "
        "Photographs evenly through validation."
    )
    return ["<h2>Where it looks</h2>", small_print(note), '<div class="seen">', *figures, "</div>"]


def _made(photos: Photographs) -> str:
    return photos.layer if " of " in photos.layer else f"Grad-CAM of {photos.layer}"


def _answer(photos: Photographs, likely: np.ndarray) -> str:
    predicted = int(likely.argmax())
    return f"<b>{escape(photos.classes[predicted])} {100 * likely[predicted]:.0f} %</b>"


def _figure(tiles: Iterable[tuple[np.ndarray, str]], caption: str, *, mark: str) -> str:
    """Place pictures side by side over one caption, which is HTML."""
    shown = "".join(
        f'<img src="data:image/jpeg;base64,{jpeg(image)}" alt="{escape(alt)}">'
        for image, alt in tiles
    )
    kind = f' class="{mark}"' if mark else ""
    return f"<figure{kind}><div>{shown}</div><figcaption>{caption}</figcaption></figure>"


def file_name(name: str) -> str:
    """Format the last part of a photograph's path as HTML; the whole is shown under the mouse."""
    return f'<span class="about" title="{escape(name)}">{escape(name.rpartition("/")[2])}</span>'


def jpeg(image: np.ndarray) -> str:
    """Encode uint8 `[H, W, 3]` as JPEG, in base64 for a page."""
    from PIL import Image

    data = io.BytesIO()
    Image.fromarray(image).save(data, "jpeg", quality=QUALITY, subsampling=0)
    return base64.b64encode(data.getvalue()).decode()
