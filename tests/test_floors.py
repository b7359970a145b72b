"""The direction of imports: a room imports from the floors below it, and from itself."""

import ast
from pathlib import Path

import tljax

ROOT = Path(tljax.__file__).parent
FLOORS = (
    ("errors", "version", "waiting"),
    ("tree",),
    ("files", "optim"),
    ("tasks",),
    ("data",),
    ("models",),
    ("config", "weights", "inside"),
    ("machine", "linear"),
    ("inputs",),
    ("train",),
    ("sweep", "audit", "methods", "runs", "recipe"),
    ("climb", "report", "benchmark"),
    ("serve",),
    ("commands",),
    ("__main__", "__init__"),
)
# The one arrow upward: a classifier draws its own history, and imports the picture when it is asked
# to.
UPWARD = {("train/outcome/trained.py", "report"), ("train/outcome/trained.py", "runs")}
FLOOR = {room: height for height, rooms in enumerate(FLOORS) for room in rooms}


def imported(path: Path) -> set[str]:
    """The rooms of tljax that a file imports from, at any depth of its code."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    for node in nodes:
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            whole = node.module == "tljax"
            names += (
                [f"tljax.{alias.name}" for alias in node.names] if whole else [str(node.module)]
            )
    return {name.split(".")[1] for name in names if name.startswith("tljax.")}


def test_imports_run_down():
    wrong = []
    for path in sorted(ROOT.rglob("*.py")):
        room = path.relative_to(ROOT).parts[0].removesuffix(".py")
        assert room in FLOOR, f"{room}: a room without a floor"
        for other in imported(path) - {room, "__version__"}:
            where = str(path.relative_to(ROOT))
            if FLOOR[other] >= FLOOR[room] and (where, other) not in UPWARD:
                wrong.append(f"{where}: {room} imports {other}")
    assert wrong == []


def test_no_room_is_crowded():
    crowded = {
        folder: len(list(folder.glob("*.py"))) for folder in ROOT.rglob("*") if folder.is_dir()
    }
    assert {folder.name: count for folder, count in crowded.items() if count > 25} == {}
