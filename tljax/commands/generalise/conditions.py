"""The photographs that are judged: as they are, corrupted, and of a second source; and options."""

import argparse
import hashlib
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from tljax import waiting
from tljax.commands import cli, running
from tljax.commands.inside import evenly
from tljax.data import ImageSet, ImageSets, photos
from tljax.errors import InputError
from tljax.methods import corrupt, domain
from tljax.report.stats.shifts import CORRUPTED, PLAIN

# One of each family, which together rank classifiers much as all do, at a third of the cost.
FEW = ("gaussian_noise", "defocus_blur", "fog", "contrast", "jpeg")


def options(parser: argparse.ArgumentParser) -> None:
    """Add what is judged: kinds, severities, how many photographs, and a second source."""
    group = cli.group(parser, "shifted photographs")
    add = group.add_argument
    kinds = f"{', '.join(corrupt.KINDS)}; all; or none ({', '.join(FEW)})"
    add("--kinds", nargs="+", default=FEW, metavar="KIND", help=f"corruptions: {kinds}")
    severities = "severities of each, from 1 to 5 (3 5)"
    add("--severities", nargs="+", type=_severity, default=(3, 5), metavar="N", help=severities)
    judged = "judge N validation photographs, evenly through them (all)"
    add("--photographs", type=cli.positive, metavar="N", help=judged)
    other = "also judge another source of the same classes: its test split, or all of it"
    add("--shifted", metavar="SOURCE", help=other)


class Shifts:
    """The held-out photographs of a set in every condition, each made when it is judged."""

    def __init__(
        self, args: argparse.Namespace, sets: ImageSets, reading: argparse.Namespace
    ) -> None:
        """Take what is judged from `args`; a second source is read as `reading` says."""
        self._args, self._kinds = args, _kinds(args)
        whole = sets.test or sets.validation
        count = args.photographs
        self.split = evenly(whole, count=count) if count and count < len(whole) else whole
        self.name = "test" if sets.test else "validation"
        self.columns: dict[str, list[str]] = {PLAIN: [PLAIN]}
        named = [f"{kind} {severity}" for kind in self._kinds for severity in args.severities]
        self.columns |= {CORRUPTED: named} if named else {}
        self._second = self._other(sets, reading)
        if self._second:
            self.columns[args.shifted] = [args.shifted]

    def __iter__(self) -> Iterator[tuple[str, ImageSet]]:
        """Yield `(condition, photographs)`, with a bar beside them."""
        shown = not self._args.quiet
        with waiting.bar(len(self), "judge", unit="conditions", shown=shown) as bar:
            for each in self._conditions():
                yield each
                bar.update()

    def _conditions(self) -> Iterator[tuple[str, ImageSet]]:
        yield PLAIN, self.split
        for kind in self._kinds:
            for severity in self._args.severities:
                images = corrupt.corrupted(self.split.images, kind, severity=severity)
                yield f"{kind} {severity}", replace(self.split, images=images)
        if self._second:
            yield self._args.shifted, self._second

    def __len__(self) -> int:
        return sum(map(len, self.columns.values()))

    def halved(self) -> None:
        """Refuse a single photograph: one half chooses, the other judges."""
        if len(self.split) < 2:
            raise InputError(f"--photographs: expected 2 or more, found {len(self.split)}")

    def about(self) -> str:
        """Say in a sentence or two what was judged."""
        what = [f"{len(self.split):,} {self.name} photographs as they are"]
        if self._kinds:
            severities = ", ".join(map(str, self._args.severities))
            kinds = ", ".join(kind.replace("_", " ") for kind in self._kinds)
            what.append(f"the same with {kinds}, each at severity {severities}")
        what += [f"{len(self._second):,} of {self._args.shifted}"] if self._second else []
        return f"{'; '.join(what)}."

    def _other(self, sets: ImageSets, reading: argparse.Namespace) -> ImageSet | None:
        if not self._args.shifted:
            return None
        other = running.load(reading, self._args.shifted, size=min(photos.sides(sets.size)))
        domain.check(sets, other)
        split = other.test or _pooled(other)
        if trained_on := _in_common(split, sets.train):
            found = f"{trained_on} of the {len(split)} are training photographs of the run"
            waiting.say(f"WARNING: {self._args.shifted}: {found}, and easy for it")
        return split


def _pooled(sets: ImageSets) -> ImageSet:
    """Return the photographs of all splits: none of a second source was trained on."""
    parts = (sets.train, sets.validation)
    return ImageSet(
        np.concatenate([part.images for part in parts]),
        np.concatenate([part.labels for part in parts]),
        tuple(name for part in parts for name in part.ids),
        sets.train.task,
    )


def _in_common(split: ImageSet, train: ImageSet) -> int:
    """Count the photographs of a split that are, pixel for pixel, in a training set."""
    known = {hashlib.sha256(image.tobytes()).digest() for image in train.images}
    return sum(hashlib.sha256(image.tobytes()).digest() in known for image in split.images)


def _severity(text: str) -> int:
    if text not in map(str, corrupt.SEVERITIES):
        raise argparse.ArgumentTypeError(f"expected 1 to 5, found {text}")
    return int(text)


def _kinds(args: argparse.Namespace) -> list[str]:
    """Read --kinds; InputError for an unknown one, and for what would be counted twice."""
    words = list(args.kinds)
    for option, given in (("kinds", words), ("severities", list(args.severities))):
        if twice := [each for each in given if given.count(each) > 1]:
            raise InputError(f"--{option}: expected each once, found {twice[0]} twice")
    if words in (["none"], ["all"]):
        return list(corrupt.KINDS) if words == ["all"] else []
    for kind in words:
        if kind in ("none", "all"):
            raise InputError(f"--kinds: expected {kind} alone, found {' '.join(words)}")
        if kind not in corrupt.KINDS:
            known = ", ".join(corrupt.KINDS)
            raise InputError(f"--kinds: expected some of {known}; found {kind!r}")
    return words
