"""The table of a plan's stages, printed before it runs."""

import math
from collections.abc import Sequence

from tljax.audit.forecast import Outlook
from tljax.report.tables.table import aligned

COLUMNS = (
    "stage",
    "trains",
    "parameters",
    "highest rates",
    "epochs",
    "steps",
    "images drawn",
    "FLOPs a step",
    "temporary",
    "compiled in",
    "reads",
)
_SOLVED = ("solved", "-", "-", "-")  # in place of rates, epochs, steps and images
_PLACES = {
    "replicated": "on each device",
    "sharded": "over the devices",
    "streamed": "from the host",
}


def plan_table(outlooks: Sequence[Outlook]) -> str:
    """Format what each stage trains, how fast, how long and at what cost, as aligned text."""
    return aligned(COLUMNS, [_row(outlook) for outlook in outlooks])


def _row(look: Outlook) -> tuple[str, ...]:
    rates = ["find" if rate is None else f"{rate:.1e}" for rate in look.rates.values()]
    steps = (
        (_list(rates), f"{look.epochs}", f"{look.steps:,}", f"{look.images:,}")
        if look.steps
        else _SOLVED
    )
    return (
        look.name,
        _list(list(look.rates)),
        f"{look.trainable_params:,} of {look.total_params:,}",
        *steps,
        *(_costs(look) if look.steps else ("-", "-", "-")),
        f"{look.data / 1e6:,.3g} MB {_PLACES[look.place]}",
    )


def _costs(look: Outlook) -> tuple[str, ...]:
    return (
        _known(look.step_flops / 1e9, "G"),
        _known(look.temporary / 1e6, "MB"),
        _known(look.compile_seconds, "s"),
    )


def _known(value: float, unit: str) -> str:
    return "unknown" if math.isnan(value) else f"{value:,.3g} {unit}"


def _list(items: Sequence[str]) -> str:
    """Join a few items; of many, which are ordered by layer, give the first and last."""
    return ", ".join(items) if len(items) <= 2 else f"{items[0]} ... {items[-1]}"
