"""How far each layer moved, as a part of the page."""

from pathlib import Path

from tljax.report.pages.sections import picture, small_print
from tljax.report.pictures.moved import curves


def section(results: dict, *, workdir: Path) -> list[str]:
    """Show the picture with a sentence on how to read it; empty where no layer of a base moved."""
    if not curves(results):
        return []
    note = (
        "Small distances keep what the base knew; large ones in early layers on few examples "
        "are a sign of a rate that is too high. --anchor holds layers near their start."
    )
    alt = "Relative distance of each layer from its pretrained weights, a line for each rung"
    drawn = picture(workdir / "moved.png", alt=alt)
    beside = ['<div class="pictures">', drawn, small_print(note), "</div>"]
    return ["<h2>How far each layer moved</h2>", *beside]
