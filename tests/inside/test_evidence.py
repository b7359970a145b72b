"""Where a trained network looks: maps of the class it says hold more evidence than the other's.

A head that flattens, trained on the critters with the base that ships, and one that averages.
"""

from dataclasses import replace

import jax
import numpy as np
import pytest

from tljax import config, data, weights
from tljax.data import critters
from tljax.data.preprocess import UNIT
from tljax.inside import grad_cam, hires_cam, layers
from tljax.inside.net import Net
from tljax.models import build
from tljax.models.build import Network
from tljax.report.inside import sheets
from tljax.train import Source, prepare, rung

SIZE = 48


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """(the net of the rung `features`, validation photographs)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        sets = data.load("critters", size=SIZE, progress=False)
    source = Source(sets, weights.read(critters.BASE), progress=False)
    stage = replace(config.PRESETS["tuned"]["features"], epochs=10)
    ready = prepare(stage, config.NETWORKS["features"], source, seed=0)
    return rung.run(stage, ready, seed=0, progress=False).net, sets.validation.images[::5]


def share(net, images, method, layer):
    """Of photographs whose map has more evidence for the class predicted than for the other."""
    order = np.argsort(-sheets.probabilities(net, images), axis=1)
    said, other = (method(net, images, order[:, i], layer=layer).sum((1, 2)) for i in (0, 1))
    return float((said > other).mean())


def test_the_layer_and_the_method_of_the_sheet_show_the_evidence(trained):
    net, images = trained
    layer = sheets.cam_layer(net)
    assert layer == "block5_conv3"
    assert share(net, images, hires_cam, layer) >= 0.95
    # What was drawn before is no better than a coin: the test can tell.
    assert share(net, images, grad_cam, layer) < 0.8
    assert share(net, images, hires_cam, "block4_conv3") < 0.8


def test_a_head_that_averages_has_equal_maps_by_both_methods():
    """Its gradient is the same at each place of a channel, so that its mean is itself."""
    network = Network("efficientnet-lite0", hidden=0)
    module = build.classifier(network, classes=3)
    variables = build.init(module, key=jax.random.key(1), size=SIZE)
    net = Net(
        module, variables["params"], UNIT, ("a", "b", "c"), SIZE, network=network,
        statistics={"batch_stats": variables["batch_stats"]},
    )  # fmt: skip
    images = np.random.default_rng(0).integers(0, 256, (2, SIZE, SIZE, 3)).astype(np.uint8)
    layer = sheets.cam_layer(net)
    assert layer == "top"
    assert layers.side(net, layer) == 2
    one, two = (f(net, images, np.array([2, 0]), layer=layer) for f in (hires_cam, grad_cam))
    assert one.max() > 0
    np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-6)
