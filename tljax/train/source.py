"""The source of a command's stages: the photographs, the base, and how both are read."""

# pyright: strict

from dataclasses import dataclass, field

import jax.numpy as jnp
from jax.typing import DTypeLike

from tljax.data.examples import Sets
from tljax.data.preprocess import Prepare
from tljax.inputs.activations import Store, default_folder
from tljax.models.build import Network, described
from tljax.weights import Weights


@dataclass(frozen=True)
class Source:
    """Hold the photographs and the pretrained base that every stage of a command starts from."""

    sets: Sets
    weights: Weights | None = None
    store: Store = field(default_factory=default_folder)  # of activations of frozen prefixes
    dtype: DTypeLike = jnp.float32  # in which networks compute; parameters are float32
    progress: bool = True

    def base_of(self, network: Network) -> Weights | None:
        """Return the pretrained base if this network takes one."""
        return self.weights if network.architecture.pretrained else None

    def network_on_base(self, network: Network) -> Network:
        """Return the network with its head on the pretrained base, where it takes one."""
        base = self.base_of(network)
        return network.on(*described(base.architecture, source=base.source)) if base else network

    def preprocess_of(self, network: Network) -> Prepare:
        """Return the preprocessing that a network needs before any rung has trained it."""
        base = self.base_of(network)
        return base.preprocess if base else self.sets.preprocess
