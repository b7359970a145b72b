"""The table of what a step sends between devices as their number grows."""

from collections.abc import Sequence
from dataclasses import dataclass

from tljax.report.tables.table import aligned

COLUMNS = (
    "rung",
    "devices",
    "batch",
    "of the images",
    "all-reduce, predicted",
    "counted",
    "sent in a ring",
    "FLOP/B",
)


@dataclass(frozen=True)
class Scale:
    """A rung's step on so many devices.

    `counted` and `predicted` are bytes of its all-reduces on each device, `others` bytes of any
    other collective, `flops` what one device computes.
    """

    rung: str
    devices: int
    batch: int  # of all devices together
    counted: int
    predicted: int
    others: int
    flops: float

    @property
    def ring(self) -> float:
        """Compute the bytes that a device sends: 2 (N - 1) / N of what is reduced.

        Patarasuk and Yuan 2009, bandwidth optimal.
        """
        return 2 * (self.devices - 1) / self.devices * self.counted


def scaling_table(scales: Sequence[Scale], *, images: int) -> str:
    """Format the scales as aligned text.

    The column `of the images` is the batch over the training set; above 1, a step sees photographs
    twice.
    """
    return aligned(COLUMNS, [_row(scale, images) for scale in scales])


def _row(scale: Scale, images: int) -> tuple[str, ...]:
    sent = scale.ring + scale.others
    return (
        scale.rung,
        f"{scale.devices}",
        f"{scale.batch:,}",
        f"{scale.batch / images:.2f}",
        f"{scale.predicted:,}",
        f"{scale.counted:,}" + (f" and {scale.others:,} of others" if scale.others else ""),
        f"{sent:,.0f}",
        f"{scale.flops / sent:,.0f}" if sent else "",
    )
