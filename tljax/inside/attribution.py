"""Attribution of a decision to the image: class activation maps and integrated gradients."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from tljax.inside import layers
from tljax.inside.net import Net, in_batches, score
from tljax.tree import Params

STEPS = 64


def hires_cam(net: Net, images: np.ndarray, targets: np.ndarray, *, layer: str) -> np.ndarray:
    """Map where a layer gives evidence for each image's class in `targets`.

    Returns float32 `[N, h, w]` of the layer's side, 0 or more. HiResCAM (Draelos and Carin 2020,
    arXiv 2011.08891): the gradient of the class's logit times the activation, element by element,
    is summed over channels; negative parts are cut. A place counts as much as it adds to the logit
    of a head that flattens; for a head that averages over places it is Grad-CAM. The divisor of a
    head that normalises features is held: with it, all evidence would sum to 0 by Euler's theorem.
    """
    return _cam(net, images, targets, layer=layer, weights=lambda gradient: gradient)


def grad_cam(net: Net, images: np.ndarray, targets: np.ndarray, *, layer: str) -> np.ndarray:
    """Map where a layer supports each image's class in `targets`, if its head averages over places.

    Returns float32 `[N, h, w]` of the layer's side, 0 or more. Selvaraju et al. 2017: channels are
    weighted by the mean gradient of the class's logit and summed; negative parts are cut. A head
    that flattens weighs each place of a channel for itself, and its mean is then no evidence:
    `hires_cam` is for every head.
    """
    return _cam(net, images, targets, layer=layer, weights=lambda g: g.mean((1, 2), keepdims=True))


def _cam(
    net: Net,
    images: np.ndarray,
    targets: np.ndarray,
    *,
    layer: str,
    weights: Callable[[Array], Array],
) -> np.ndarray:
    start = layers.following(net, layer)

    def program(params: Params, batch: Array, classes: Array) -> Array:
        out = net.run(batch, params)[1]
        activation = out[f"base/{layer}"]

        def logits(a: Array) -> Array:
            entering = net.entering(layer, a, out)
            return score(net.evidence(entering, params, start=start), classes).sum()

        gradient = jax.grad(logits)(activation)
        return jax.nn.relu((weights(gradient) * activation).sum(-1))

    return in_batches(program, net.params, images, targets)


def integrated_gradients(
    net: Net, images: np.ndarray, targets: np.ndarray, *, baseline: float = 0.0, steps: int = STEPS
) -> np.ndarray:
    """Compute each pixel's contribution to the logit of its `targets`: float32 `[N, H, W, 3]`.

    Sundararajan et al. 2017: gradients are summed along the line from an image of the grey level
    `baseline`. Contributions are complete: their sum is the logit minus that of the baseline, up to
    the error of the sum (midpoints here).
    """

    def gradient(params: Params, batch: Array, classes: Array) -> Array:
        def along(total: Array, part: Array) -> tuple[Array, None]:
            point = baseline + part * (batch - baseline)
            slope = jax.grad(lambda x: score(net.run(x, params)[0], classes).sum())
            return total + slope(point), None

        parts = (jnp.arange(steps, dtype=jnp.float32) + 0.5) / steps
        total, _ = jax.lax.scan(along, jnp.zeros_like(batch), parts)
        return (batch - baseline) * total / steps

    return in_batches(gradient, net.params, np.asarray(images, np.float32), targets)
