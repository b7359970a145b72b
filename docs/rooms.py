"""Draw the rooms of the house from its imports: `python docs/rooms.py` writes docs/rooms.png.

A room is a folder of tljax/ or a file that lies directly in it. A room stands one floor above the
highest room that it imports, so every arrow points down; rooms that import each other stand on one
floor, and the arrows among them are red.
"""

import ast
import sys
from collections import Counter
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

Arrows = Counter[tuple[str, str]]  # (importing room, imported room) -> number of imports
Places = dict[str, tuple[float, float]]  # room -> centre of its box, in inches
Boxes = dict[str, FancyBboxPatch]
ROOT = Path(__file__).resolve().parents[1]
WIDTH, HEIGHT = 0.95, 0.46  # of a box, in inches
COLUMN, FLOOR = 1.35, 0.95  # from box to box, from floor to floor
DPI = 120
CAPTION = "Arrows point at what is imported at the top of a file; grey where others lead there too."


def modules(package: Path) -> dict[str, Path]:
    """Map each module's dotted name to its file."""
    files = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        files[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return files


def room(module: str) -> str:
    """Name the room of a module: the second part of its dotted name."""
    return module.split(".")[1]


def imported(path: Path, known: dict[str, Path]) -> list[str]:
    """List the known modules that a file imports at its top, not inside functions."""
    names, tree = [], ast.parse(path.read_text(encoding="utf-8"))
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    later = {id(node) for function in functions for node in ast.walk(function)}
    for node in (node for node in ast.walk(tree) if id(node) not in later):
        if isinstance(node, ast.ImportFrom) and node.module:
            full = [f"{node.module}.{alias.name}" for alias in node.names]
            names += [name if name in known else node.module for name in full]
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
    return [name for name in names if name in known]


def arrows(known: dict[str, Path]) -> Arrows:
    """Count the imports from each room into each other room."""
    inside = {name: path for name, path in known.items() if "." in name}
    pairs: Arrows = Counter()
    for name, path in inside.items():
        pairs.update((room(name), room(target)) for target in imported(path, inside))
    return Counter({pair: count for pair, count in pairs.items() if pair[0] != pair[1]})


def reachable(start: str, pairs: Arrows) -> set[str]:
    """Follow the arrows from a room: every room that it needs, directly or not."""
    seen, waiting = set(), [start]
    while waiting:
        above = waiting.pop()
        more = {below for source, below in pairs if source == above} - seen
        seen |= more
        waiting += more
    return seen


def floors(names: set[str], pairs: Arrows) -> list[list[str]]:
    """Sort rooms into floors, the lowest first: each above all that it needs, circles together."""
    needs = {name: reachable(name, pairs) for name in names}
    placed: dict[str, int] = {}
    # What a room needs always needs less than the room itself, unless both are in one circle.
    for name in sorted(names, key=lambda name: (len(needs[name] - {name}), name)):
        below = [placed[other] for other in needs[name] if name not in needs[other]]
        placed[name] = 1 + max(below, default=-1)
    count = 1 + max(placed.values(), default=-1)
    return [sorted(name for name in names if placed[name] == floor) for floor in range(count)]


def places(levels: list[list[str]], pairs: Arrows) -> Places:
    """Place the centre of each box, in inches, near the rooms below that it imports."""
    middle = COLUMN * max(map(len, levels)) / 2
    centres: Places = {}
    for height, names in enumerate(levels):

        def pull(name: str) -> float:
            below = [
                centres[target][0]
                for source, target in pairs
                if source == name and target in centres
            ]
            return sum(below) / len(below) if below else middle

        for i, name in enumerate(sorted(names, key=pull)):
            centres[name] = (middle + COLUMN * (i - (len(names) - 1) / 2), FLOOR * (height + 0.5))
    return centres


def indirect(pair: tuple[str, str], pairs: Arrows) -> bool:
    """Tell whether a longer chain of arrows leads the same way."""
    source, target = pair
    between = {below for above, below in pairs if above == source} - {target}
    return any(target in reachable(name, pairs) for name in between)


def draw(known: dict[str, Path]) -> Figure:
    """Draw boxes in floors with their numbers of files, and arrows for imports between rooms."""
    files = Counter(room(name) for name, path in known.items() if path.stem != "__init__")
    pairs = arrows(known)
    centres = places(floors(set(files), pairs), pairs)
    across = max(x for x, _ in centres.values()) + COLUMN / 2
    up = max(y for _, y in centres.values()) + FLOOR + 0.2
    figure = Figure(figsize=(across, up), dpi=DPI, facecolor="white")
    ax = figure.add_axes((0, 0, 1, 1), xlim=(0, across), ylim=(0, up))
    ax.set_axis_off()
    boxes = {name: _box(ax, centres[name], f"{name}\n{_counted(files[name])}") for name in centres}
    for pair in pairs:
        _arrow(ax, centres, boxes, pair, pairs)
    counts = f"{_counted(files.total())} in {len(files)} rooms; {len(pairs)} arrows"
    ax.text(0.25, up - 0.15, "The rooms of tljax", weight="bold", va="top", size=12)
    ax.text(0.25, up - 0.40, f"{counts}.\n{CAPTION}", color="#666666", va="top", size=9)
    return figure


def _counted(files: int) -> str:
    return f"{files} file{'s' * (files != 1)}"


def _box(ax: Axes, centre: tuple[float, float], label: str) -> FancyBboxPatch:
    corner = (centre[0] - WIDTH / 2, centre[1] - HEIGHT / 2)
    box = FancyBboxPatch(corner, WIDTH, HEIGHT, "round,pad=0,rounding_size=0.07", zorder=3)
    box.set(facecolor="#eef4fa", edgecolor="#0072b2")
    ax.text(*centre, label, ha="center", va="center", size=9.5, zorder=4)
    ax.add_patch(box)
    return box


def _arrow(ax: Axes, centres: Places, boxes: Boxes, pair: tuple[str, str], pairs: Arrows) -> None:
    """Draw one arrow: red in a circle, grey where longer chains lead the same way, else dark."""
    source, target = pair
    circle = source in reachable(target, pairs)
    faint = not circle and indirect(pair, pairs)
    colour = "#d55e00" if circle else "#d0d0d0" if faint else "#444444"
    arrow = FancyArrowPatch(
        centres[source],
        centres[target],
        patchA=boxes[source],
        patchB=boxes[target],
        arrowstyle="-|>",
        mutation_scale=7 if faint else 10,
        color=colour,
        linewidth=0.5 if faint else 0.7 + 0.1 * min(pairs[pair], 15),
        connectionstyle="arc3,rad=0.06",
        zorder=1 if faint else 2,
    )
    ax.add_patch(arrow)


if __name__ == "__main__":
    path = Path(__file__).with_suffix(".png")
    draw(modules(ROOT / "tljax")).savefig(path)
    sys.stdout.write(f"{path}\n")
