"""Learning-rate range tests in a run's folder: from `lr="find"` and from the command `lr_find`."""

import urllib.parse
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tljax.errors import InputError
from tljax.report.pictures import lr_curve
from tljax.runs.results import read_json
from tljax.train.lr_finder import Finding

FIELDS = ("rates", "losses", "smoothed")
Findings = dict[int, Finding]  # seed -> its test


def read_range_tests(workdir: Path) -> dict[str, tuple[Findings, bool]]:
    """Read rung -> (findings, whether the sweep was linear). InputError names a malformed file."""
    rungs: dict[str, tuple[Findings, bool]] = {}
    for path in [*sorted(workdir.glob("lr_find_*.json")), workdir / "lr_find.json"]:
        if path.is_file():
            rung, seeds, linear = _read(path)
            rungs.setdefault(rung, ({}, linear))[0].update(seeds)
    return rungs


def write_range_tests(tests: Mapping[str, tuple[Findings, bool]], *, workdir: Path) -> list[Path]:
    """Draw a picture a rung: `range_test_RUNG.png`."""
    return [
        lr_curve.write_lr_curve(
            rung, findings, workdir=workdir, linear=linear, name=picture_name(rung)
        )
        for rung, (findings, linear) in tests.items()
    ]


def picture_name(rung: str) -> str:
    """Name the file of a rung's picture.

    Characters that do not belong in a file name are percent-encoded.
    """
    return f"range_test_{urllib.parse.quote(rung, safe=' +=,@')}.png"


def _read(path: Path) -> tuple[str, Findings, bool]:
    document = read_json(path)
    arguments = document.get("arguments", {})
    rung = document.get("rung", arguments.get("rung") if isinstance(arguments, dict) else None)
    try:
        seeds = {int(seed): _finding(each) for seed, each in document["seeds"].items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path}: expected the range test of each seed, found {error!r}") from None
    if not isinstance(rung, str) or not seeds:
        raise InputError(
            f"{path}: expected a rung and its seeds, found {rung!r} and {len(seeds)} seeds"
        )
    return rung, seeds, bool(isinstance(arguments, dict) and arguments.get("linear"))


def _finding(record: dict) -> Finding:
    rates, losses, smoothed = (np.array(record[name], float) for name in FIELDS)
    if not rates.ndim == losses.ndim == smoothed.ndim == 1 or not len(rates) == len(losses) == len(
        smoothed
    ):
        raise ValueError("lists of different lengths")
    return Finding(
        rates,
        losses,
        smoothed,
        {str(name): float(rate) for name, rate in record["suggestions"].items()},
    )
