"""Write a run's report again, from the files in its folder.

    tljax report --run runs/ladder

Of a cross-validation the page has its seeds, folds and confusions. Photographs that an older run
did not store are fetched from its source, and refused if that has changed since.
"""

from pathlib import Path

from tljax import report
from tljax.commands import cli, inside
from tljax.commands.climb.onward import say_next
from tljax.commands.climb.photographs import keep
from tljax.errors import InputError
from tljax.report.pages import folds, masks, photographs, sentences, told
from tljax.runs import out_of_fold
from tljax.runs.results import read_json, read_results, typed

OTHERS = ("sweep", "labels", "lr_find", "transferability", "head2toe")  # leave NAME.json


def main() -> None:
    """Run the command."""
    parser = cli.bare_parser(__doc__, experiment="report")
    parser.add_argument(
        "--run", type=cli.path, required=True, metavar="DIR", help="the folder of a run"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bars")
    args = parser.parse_args()
    config = read_json(args.run / "config.json")
    results = read_results(args.run / "results.json")
    if out_of_fold.is_in(args.run):
        print(folds.write_page(args.run))
        return
    _refuse_other(args.run)
    kept = (photographs.FILE, masks.FILE, sentences.FILE, told.FILE)
    if results["rungs"] and not any((args.run / name).exists() for name in kept):
        size = results["data"].get("size")
        if not isinstance(size, list):  # height and width
            size = typed(results["data"], "size", int, str(args.run / "results.json"))
        sets = inside.data_of(
            config, size=size, where=args.run / "config.json", progress=not args.quiet
        )
        keep(args.run, sets)
    page = report.write_report(args.run)[-1]
    print(page)
    quiet = args.quiet or not results["rungs"]
    say_next(args.run, page=page, results=results, quiet=quiet)


def _refuse_other(run: Path) -> None:
    """Refuse the folder of a command that trains no rung and drew its own pictures."""
    for name in OTHERS:
        if (run / f"{name}.json").exists() and not read_results(run / "results.json")["rungs"]:
            drawn = sorted(file.name for file in run.glob(f"{name}*") if file.suffix != ".json")
            raise InputError(
                f"{run}: expected a run of rungs or a cross-validation, found what tljax "
                f"{name.replace('_', '-')} left: {', '.join([f'{name}.json', *drawn])}"
            )
