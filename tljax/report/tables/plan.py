"""The table of a plan's stages, printed before it runs: 100 columns, where names allow."""

import math
import re
from collections.abc import Sequence

from tljax.audit.forecast import Outlook
from tljax.report.tables.table import aligned
from tljax.tasks.classification import CLASSIFICATION
from tljax.tasks.task import Task

COLUMNS = ("stage", "trains", "parameters", "peak rates", "epochs", "images", "FLOPs/step", "reads")
_SOLVED = ("solved", "-", "-", "-")  # in place of rates, epochs, images and FLOPs
_PLACES = {"replicated": "", "sharded": ", over the devices", "streamed": ", from the host"}
_UNITS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""))


def plan_table(outlooks: Sequence[Outlook], *, task: Task = CLASSIFICATION) -> str:
    """Format what each stage trains, how fast, how long and at what cost, as aligned text."""
    return aligned([*map(task.worded, COLUMNS)], [_row(outlook) for outlook in outlooks])


def _row(look: Outlook) -> tuple[str, ...]:
    rates = ["find" if rate is None else _rate(rate) for rate in look.rates.values()]
    steps = (_list(rates), f"{look.epochs}", f"{look.images:,}", _short(look.step_flops))
    return (
        look.name,
        _list([_layers(pattern) for pattern in look.rates]),
        f"{_short(look.trainable_params)} of {_short(look.total_params)}",
        *(steps if look.steps else _SOLVED),
        f"{_megabytes(look.data)}{_PLACES[look.place]}",
    )


def _layers(pattern: str) -> str:
    """Shorten a rule: `base/block5_.*` to `block5`, `head/.*` to `head`, `.*` to `everything`."""
    plain = re.fullmatch(r"(?:base/)?([\w/.]*?)[_/]?\.\*", pattern)
    return (plain[1] or "everything") if plain else pattern


def _rate(rate: float) -> str:
    """Write 1e-3 and 4.1e-6."""
    number, power = f"{rate:.1e}".split("e")
    return f"{number.removesuffix('.0')}e{int(power)}"


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.0f} MB" if count >= 1e8 else f"{count / 1e6:.3g} MB"


def _short(value: float) -> str:
    """Write three digits with a unit: 476 k, 2.94 G."""
    if math.isnan(value):
        return "unknown"
    scale, unit = next((pair for pair in _UNITS if abs(value) >= pair[0]), (1.0, ""))
    return f"{value / scale:.3g} {unit}".strip()


def _list(items: Sequence[str]) -> str:
    """Join a few items; of many, which are ordered by layer, give the first and last."""
    return ", ".join(items) if len(items) <= 2 else f"{items[0]} ... {items[-1]}"
