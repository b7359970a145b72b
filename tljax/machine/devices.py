"""The same step on one device or many: `jit` over a mesh by default, `pmap` as a thin wrapper."""

# pyright: strict
# pyright: reportUnknownArgumentType=false, reportUnknownLambdaType=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

import math
from collections.abc import Sequence
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from tljax.errors import InputError
from tljax.models import ops

AXIS = "data"
Device = Any  # jax.Device, which pyright does not take for a class
PyTree = Any  # arrays, in any of the containers that JAX knows


class Step(Protocol):
    """A train step: `(state, batch, hyper) -> (state, metrics)`."""

    def __call__(self, state: Any, batch: Any, hyper: Any, /) -> Any: ...


def mesh(devices: Sequence[Device] | None = None) -> Mesh:
    """Make a one-dimensional mesh over these devices (default: all); batches are split along it."""
    devices = jax.devices() if devices is None else devices
    return jax.make_mesh((len(devices),), (AXIS,), axis_types=(AxisType.Auto,), devices=devices)


def mesh_for(batch_size: int) -> Mesh:
    """Make the mesh over as many devices as can share this batch equally.

    With several processes it is over all devices.
    """
    if jax.process_count() > 1:  # none may be left out: it would wait for the others
        return mesh()
    return mesh(jax.devices()[: math.gcd(batch_size, jax.device_count())])


def replicated(over: Mesh) -> NamedSharding:
    """Return the sharding that puts the whole array on every device."""
    return NamedSharding(over, P())


def split_batch(over: Mesh, *, axis: int = 0) -> NamedSharding:
    """Return the sharding that splits the batch axis in equal parts, one a device."""
    return NamedSharding(over, P(*[None] * axis, AXIS))


def check_batch(batch_size: int, over: Mesh) -> None:
    """Check that the devices can share a batch equally; InputError if not."""
    if batch_size % over.size:
        raise InputError(
            f"batch size {batch_size} cannot be split over {over.size} devices; "
            f"take a multiple of {over.size}"
        )


def jit_step(step: Step, over: Mesh) -> jax.stages.Wrapped:
    """Compile a step `(state, batch, hyper)` over a mesh, with the batch split over the devices.

    State and hyperparameters are replicated, and the state is donated. Results do not depend on the
    number of devices, except for the order of sums.
    """
    whole, parts = replicated(over), split_batch(over)
    return ops.jit(step, in_shardings=(whole, parts, whole), out_shardings=whole, donate_argnums=0)


def pmap_step(step: Step, devices: Sequence[Device] | None = None) -> Step:
    """Map a step over devices with `jax.pmap`; takes and returns what `jit_step` does.

    The step must be made with `axis_name=AXIS`.
    """
    devices = jax.devices() if devices is None else devices
    mapped = jax.pmap(step, axis_name=AXIS, in_axes=(None, 0, None), out_axes=None, devices=devices)

    def call(state: PyTree, batch: PyTree, hyper: PyTree, /) -> PyTree:
        parts = jax.tree.map(lambda x: x.reshape(len(devices), -1, *x.shape[1:]), batch)
        return mapped(state, parts, hyper)

    return call


def put(tree: PyTree, sharding: NamedSharding, *, copy: bool = True) -> PyTree:
    """Put a tree on the devices, by default as a copy.

    A donated step then never deletes what the caller still holds. What is never donated, such as a
    large set, needs no copy. Every process has the whole tree, and transfers the parts for its own
    devices.
    """
    return jax.tree.map(lambda x: _put(x, sharding, copy=copy), tree)


def _put(x: Any, sharding: NamedSharding, *, copy: bool) -> Array:
    if _is_key(x):
        if sharding.is_fully_addressable:
            return jax.device_put(x, sharding)
        return jax.random.wrap_key_data(
            _put(jax.random.key_data(x), sharding, copy=copy), impl=jax.random.key_impl(x)
        )
    x = np.array(x) if copy else np.asarray(x)
    if sharding.is_fully_addressable:
        return jax.device_put(x, sharding)
    return jax.make_array_from_callback(x.shape, sharding, lambda part: x[part])


def _is_key(x: Any) -> bool:
    return isinstance(x, jax.Array) and jnp.issubdtype(x.dtype, jax.dtypes.prng_key)
