"""The table of an audit: what the compiled step has, the least it could have, and the ratio."""

import math

from tljax.audit.cost import Audit, Cost
from tljax.report.tables.table import aligned

COLUMNS = ("", "found", "least", "ratio")
_SCALES = ((1e9, "G"), (1e6, "M"), (1e3, "k"), (1, ""))


def audit_table(audit: Audit, *, same_bits: bool, launches: float) -> str:
    """Format an audit as aligned text.

    `same_bits` says whether the frozen leaves kept their bits through a real step; `launches` are
    the kernels of a step as training runs it (`audit.segment`).
    """
    rows = [
        _row("FLOPs", audit.flops),
        _row("FLOPs of compiled products", audit.products),
        _row("FLOPs by the compiler", audit.compiler),
        _row("temporary bytes", audit.temporary),
        _row("all-reduce bytes", audit.reduced),
        _row("other collectives' bytes", audit.exchanged),
        _row("optimizer bytes", audit.optimizer),
    ]
    plural = "" if audit.devices == 1 else "s"
    return "\n".join(
        [
            f"{audit.stage}: a step on each of {audit.devices} device{plural}",
            aligned(COLUMNS, rows),
            f"kernels: {audit.launches} of the step alone; {launches:,.0f} with its draws, "
            "augmentation, metrics and loop",
            f"trained: {len(audit.trainable)} leaves; "
            f"not reached by the images: {_names(audit.idle)}",
            f"frozen: {len(audit.held)} leaves; moved by the step: {_names(audit.moved)}",
            f"after a step on random images their bits are "
            f"{'the same' if same_bits else 'NOT the same'}",
        ]
    )


def _row(name: str, cost: Cost) -> tuple[str, ...]:
    return (
        name,
        _number(cost.found),
        _number(cost.least),
        "unknown" if math.isnan(cost.ratio) else f"{cost.ratio:.4f}",
    )


def _number(value: float) -> str:
    if math.isnan(value):
        return "unknown"
    scale, unit = next((pair for pair in _SCALES if value >= pair[0]), (1, ""))
    return f"{value / scale:,.4g} {unit}".rstrip()


def _names(paths: tuple[str, ...]) -> str:
    return ", ".join(paths) or "none"
