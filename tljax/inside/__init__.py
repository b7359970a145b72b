"""Interpretation of a trained network: its activations, what excites a unit, and its decisions."""

from tljax.inside.attribution import grad_cam, hires_cam, integrated_gradients
from tljax.inside.excite import Peaks, maximise, peaks, top_patches
from tljax.inside.layers import layers_of, receptive_field
from tljax.inside.net import Net
from tljax.inside.similar import neighbours, pooled, top_losses

__all__ = [
    "Net",
    "Peaks",
    "grad_cam",
    "hires_cam",
    "integrated_gradients",
    "layers_of",
    "maximise",
    "neighbours",
    "peaks",
    "pooled",
    "receptive_field",
    "top_losses",
    "top_patches",
]
