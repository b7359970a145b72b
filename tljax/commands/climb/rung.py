"""A rung of the ladder as data, and the rungs that `tljax.config` has."""

from collections.abc import Iterable
from dataclasses import dataclass

from tljax import config
from tljax.config import Stage
from tljax.models.build import Network

PRESET, MASKS = "tuned", "masks"  # unless --preset names another; the second for masks


@dataclass(frozen=True)
class Rung:
    """A network, the stage that trains it, and the rung whose parameters it starts from.

    `after=None` starts from the pretrained base, or from random numbers where the network has none.
    """

    network: Network
    stage: Stage
    after: str | None = None


def named(names: Iterable[str], preset: str = PRESET) -> dict[str, Rung]:
    """Take rungs from `tljax.config` by name, with the rates and lengths of a preset."""
    stages = config.PRESETS[preset]
    return {
        name: Rung(config.network_of(name, preset), stages[name], config.STARTS_FROM.get(name))
        for name in names
    }
