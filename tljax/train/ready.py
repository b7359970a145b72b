"""A stage's network, parameters and data: everything that it starts from."""

# pyright: strict
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false

from dataclasses import dataclass
from functools import partial

from flax import linen as nn

from tljax.data.preprocess import UNIT, Prepare
from tljax.errors import InputError
from tljax.inputs.images import Inputs
from tljax.models.build import Network
from tljax.optim import low_rank
from tljax.train.second_batch import Beside
from tljax.train.step import Apply, OptState, State, Variables
from tljax.tree import Flat


@dataclass(frozen=True)
class Ready:
    """Hold what a stage starts from; `setup.prepare` makes it for a `Network`.

    `variables` `{"params", "batch_stats"?}` are what `module.init` gives, or their shapes, with the
    factors of low-rank updates beside base and head (`optim.low_rank`).
    """

    module: nn.Module
    variables: Variables
    inputs: Inputs
    network: Network | None = None  # that `module` was built from; None for a module of one's own
    preprocess: Prepare = UNIT
    second: Beside | None = None  # a second data set, read at every step
    seconds: float = 0.0  # spent on preparing it, activations of a frozen prefix included
    carried: OptState | None = None  # the stage before's, for the leaves that continue to train
    anchor: Flat | None = None  # the pretrained base by path, where `Optimizer.anchor` pulls to it
    resumed: State | None = None  # a state of this very stage, continued in place of `variables`

    @property
    def apply(self) -> Apply:
        """Return the module's `apply` from the layer where the inputs enter.

        Kernels with a low-rank update are used with it.
        """
        return partial(low_rank.through(self.module.apply), start=self.inputs.start)

    def described(self) -> Network:
        """Return the network; InputError for a module that no `Network` describes."""
        if self.network is None:
            raise InputError(
                "a module of one's own: expected the Network that it was built from, found none"
            )
        return self.network
