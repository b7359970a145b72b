"""Texts of classes: classification of tokens, by a name of its own."""

# pyright: strict

from dataclasses import dataclass
from typing import ClassVar

from tljax.tasks.classification import Classification


@dataclass(frozen=True)
class Text(Classification):
    """Labels `[N]` int32, the places of classes; the examples are texts and not photographs."""

    name: ClassVar[str] = "text"
    example: ClassVar[str] = "text"


TEXT = Text()
