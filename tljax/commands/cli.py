"""Options that the commands share, in the groups and the order of --help."""

import argparse
import inspect
from pathlib import Path

from tljax.commands import door
from tljax.commands.machine.devices import Parser, add_machine, positive
from tljax.config import sizes
from tljax.errors import InputError
from tljax.files.home import at_home
from tljax.models.build import BASES, named
from tljax.models.own import own_base
from tljax.runs.tracking import TRACKERS
from tljax.tasks.known import TASKS

SOURCES = (
    "a folder of class folders (photographs or .txt files), or of images and masks; csv:FILE, "
    "tfds:NAME, critters, critters:source, critters:masks or critters:parts; stdlib, of texts"
)
ON, BASE, HOW = "what to train on", "what to train", "how it is trained"  # groups of --help
WHERE, RARE = "where it goes", "rarely needed"
_resumes = False  # whether the command has --resume


def can_resume() -> bool:
    """Tell whether the command that was parsed has --resume."""
    return _resumes


def parser(
    doc: str | None, *, experiment: str, source: str = "critters", size: int | None = sizes.CRITTERS
) -> argparse.ArgumentParser:
    """Make a parser with the options of every experiment that trains.

    `doc` is the module's docstring.
    """
    global _resumes
    _resumes = True
    new = bare_parser(doc, experiment=experiment)
    new.usage = "%(prog)s [options]"  # they are listed below it, in groups
    _add_photographs(group(new, ON), source=source, size=size)
    group(new, BASE)  # a command's own, in this place
    _add_training(group(new, HOW))
    _add_folder(group(new, WHERE), experiment=experiment)
    _add_rare(group(new, RARE))
    add_machine(group(new, "devices and processes"))
    return new


def group(new: argparse.ArgumentParser, title: str) -> argparse._ArgumentGroup:
    """Return the group of options with this title, made at the first call."""
    made = (each for each in new._action_groups if each.title == title)
    return next(made, None) or new.add_argument_group(title)


def _add_photographs(group: argparse._ArgumentGroup, *, source: str, size: int | None) -> None:
    group.add_argument("--data", default=source, metavar="SOURCE", help=f"{SOURCES} ({source})")
    _add_reading(group, size=size)


def add_reading(new: argparse.ArgumentParser, *, size: int | None) -> None:
    """Add the options that say how the photographs of a source are read."""
    _add_reading(new, size=size)
    _add_tolerance(group(new, RARE))


def _add_reading(group: argparse._ActionsContainer, *, size: int | None) -> None:
    add = group.add_argument
    add(
        "--task",
        choices=sorted(TASKS),
        help="what is learnt of an example (told from the data where it can be)",
    )
    _add_columns(group)
    _add_legend(group)
    add(
        "--validation-fraction",
        type=fraction,
        default=0.2,
        metavar="FRACTION",
        help="share held out for validation, of a source without such a split (0.2)",
    )
    sides = size or f"the base's, or {sizes.LECTURE}; {sizes.CRITTERS} for critters"
    add(
        "--size",
        type=positive,
        default=size,
        metavar="PIXELS",
        help=f"side of the square images ({sides})",
    )
    add(
        "--skip-corrupt",
        action="store_true",
        help="leave out photographs that cannot be read, and count them",
    )


def _add_tolerance(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--allow-duplicates",
        action="store_true",
        help="allow the same photograph in training and validation, or in two classes",
    )
    add(
        "--follow-links",
        action="store_true",
        help="read photographs through links that leave their folder",
    )
    decided = "keep, relabel or delete training photographs as this file says; see tljax suspects"
    add("--decisions", type=path, metavar="CSV", help=decided)
    add(
        "--data-dir",
        type=path,
        metavar="DIR",
        help="where TFDS keeps its data sets ($TFDS_DATA_DIR, or TFDS's own)",
    )


def _add_columns(group: argparse._ActionsContainer) -> None:
    """Add the options that name columns of `csv:FILE`."""
    add = group.add_argument
    add("--file-column", default="", metavar="NAME", help="of csv: the column of file names")
    add("--text-column", default="", metavar="NAME", help="of csv: the column of texts")
    add(
        "--label-columns",
        type=_several,
        default=(),
        metavar="NAME[,NAME]",
        help="of csv: the column of classes, of lists of labels or of numbers; or several",
    )
    add(
        "--label-separator",
        default="",
        metavar="TEXT",
        help="of csv: what is between several labels of one cell (; or | or ,)",
    )


def _add_legend(group: argparse._ActionsContainer) -> None:
    """Add the options that say what the numbers of masks stand for."""
    add = group.add_argument
    named = "of masks: names of their numbers, in order (classes.txt, or the numbers)"
    add("--classes", type=_several, default=(), metavar="NAME[,NAME]", help=named)
    void = "of masks: numbers of pixels without a class, besides 255"
    add("--void", type=_numbers, default=(), metavar="N[,N]", help=void)


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(number) for number in _several(text))
    except ValueError:
        expected = f"expected numbers such as 11,12, found {text!r}"
        raise argparse.ArgumentTypeError(expected) from None


def _several(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _add_folder(group: argparse._ArgumentGroup, *, experiment: str) -> None:
    add = group.add_argument
    add("--workdir", type=path, metavar="DIR", help=f"where the run's files go (runs/{experiment})")
    add(
        "--overwrite",
        action="store_true",
        help="replace a run or a weights file that is there; saved features are kept",
    )
    add(
        "--resume",
        action="store_true",
        help="continue the run in the workdir where it stopped, to the same bits",
    )
    add("--quiet", action="store_true", help="print the result and what is wrong, nothing else")


def _add_training(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--epochs", type=positive, metavar="N", help="epochs of every stage (the preset's)")
    add(
        "--budget",
        type=fraction,
        default=1.0,
        metavar="FRACTION",
        help="share of those epochs to train: 0.1 is a tenth (1.0)",
    )


def _add_rare(group: argparse._ArgumentGroup) -> None:
    _add_tolerance(group)
    add = group.add_argument
    add(
        "--resume-anyway",
        action="store_true",
        help="as --resume, even where data, base, plan or options differ; a finished rung stays as "
        "it is",
    )
    add(
        "--skip-nonfinite",
        action="store_true",
        help="skip and count steps whose loss or gradient is NaN or infinite "
        "(without it the first one ends the run)",
    )
    keeps = "train a stage that collapses to its end, and keep that (back to its best epoch)"
    add("--keep-going", action="store_true", help=keeps)
    add(
        "--dtype",
        choices=("float32", "bfloat16"),
        default="float32",
        help="numbers to compute with; bfloat16 is faster on an accelerator (float32)",
    )


def log_option(new: argparse.ArgumentParser) -> None:
    """Add the option that names where each epoch's record goes, in addition to the run's files."""
    group(new, WHERE).add_argument(
        "--log", choices=sorted(TRACKERS), help="also send each epoch there (the run's files alone)"
    )


def bare_parser(doc: str | None, *, experiment: str) -> argparse.ArgumentParser:
    """Make a parser without options; `doc` is the module's docstring."""
    return Parser(
        prog=door.called(experiment),
        description=inspect.cleandoc(doc or ""),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def path(text: str) -> Path:
    """Read an option that is a path, with a home folder in place of `~`."""
    try:
        return at_home(text)
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def fraction(text: str) -> float:
    """Read an option that must be a positive, finite number."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a positive number, found {text}")
    return value


def run_options(parser: argparse.ArgumentParser) -> None:
    """Add --run, and which of its classifiers."""
    add = parser.add_argument
    where = "the folder of a run, or one that Trained.save wrote"
    add("--run", type=path, required=True, metavar="DIR", help=where)
    add("--rung", metavar="NAME", help="which of its rungs (the best in validation)")
    add("--seed", type=int, metavar="N", help="which of its seeds (the best in validation)")


def own_base_option(parser: argparse.ArgumentParser) -> None:
    """Add --base for a command that uses a run: the file of a base of one's own."""
    said = "the Python file of the base network, for a run that trained one of your own"
    parser.add_argument("--base", type=_base, metavar="FILE.py", help=said)


def base_option(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """Add --base: a base network by name, or a Python file with one of your own."""
    parser.add_argument(
        "--base",
        type=_base,
        metavar="NAME",
        help="the base network where --weights does not say which: "
        f"{', '.join(name for name, base in BASES.items() if base.pretrained)}, "
        "or FILE.py with an Architecture of your own",
    )


def _base(text: str) -> str:
    try:
        return own_base(Path(text)) if text.endswith(".py") else named(text).name
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
