import re
from dataclasses import asdict, replace
from pathlib import Path

import jax
import numpy as np
import pytest

from tljax.errors import InputError
from tljax.models import build
from tljax.models.architecture import images_of
from tljax.models.build import Network
from tljax.runs.saved_network import described, refuse_other
from tljax.tasks.classification import CLASSIFICATION

META = {"network": asdict(Network()), "classes": ["cat", "dog"], "size": 32, "preprocess": {}}


def test_what_a_run_writes_is_read():
    assert described(META, where=Path("run")) == (
        Network(),
        ("cat", "dog"),
        32,
        CLASSIFICATION,
    )


def test_a_run_of_an_earlier_version_lacks_later_fields():
    told = {name: value for name, value in META["network"].items() if name != "feature_norm"}
    flat = {"base": "vgg16", "width": 0.5, "norm": False, "padding": "VALID", "hidden": 7}
    network = described(META | {"network": flat}, where=Path("run"))[0]
    assert network == Network(options={"width": 0.5, "norm": False}, hidden=7)
    assert described(META | {"network": told}, where=Path("run"))[0] == Network()
    with pytest.raises(InputError, match="run: meta: network: expected what a run writes"):
        described(META | {"network": told | {"other": 1}}, where=Path("run"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("options", [["width", 1.0]]),
        ("hidden", -1),
        ("feature_norm", 0),
    ],
)
def test_another_network_is_named_with_its_folder(name, value):
    told = META | {"network": META["network"] | {name: value}}
    with pytest.raises(InputError) as refused:
        described(told, where=Path("run"))
    assert (
        str(refused.value)
        == f"run: meta: network.{name}: expected what a run writes, found {str(value)!r}"
    )


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"base": "../../else"}, "its base is '../../else', expected one of cnn, vgg16"),
        ({"options": {"depth": 3}}, "vgg16: unknown option 'depth'; one of width, norm"),
        ({"options": {"norm": 1}}, "option norm: expected bool, found 1"),
        (
            {"options": {"width": 1e9}},
            "option width: expected more than 0 to 4096",
        ),
        ({"options": {"width": -1.0}}, "option width: expected more than 0 to 4096, found -1.0"),
    ],
)
def test_a_base_that_is_not_known_is_refused(changed, message):
    with pytest.raises(InputError, match=re.escape(message)):
        described(META | {"network": META["network"] | changed}, where=Path("run"))


def test_batch_statistics_belong_to_a_network_with_norm():
    network = Network(hidden=0, options={"width": 1 / 64, "norm": True})
    assert described(META | {"network": asdict(network)}, where=Path("run"))[0] == network
    module = build.classifier(network, classes=2)
    image = jax.ShapeDtypeStruct((1, 32, 32, 3), np.float32)
    variables = jax.eval_shape(module.init, jax.random.key(0), image)
    refuse_other(variables, module, like=images_of(32), where=Path("run"))
    with pytest.raises(
        InputError, match=r"run does not fit its network.*- batch_stats/base/block1_conv1"
    ):
        refuse_other({"params": variables["params"]}, module, like=images_of(32), where=Path("run"))
    plain = build.classifier(
        replace(network, options={"width": network.options["width"]}), classes=2
    )
    params = jax.eval_shape(plain.init, jax.random.key(0), image)["params"]
    with pytest.raises(InputError, match=r"extra\): \+ batch_stats/base/block1_conv1"):
        refuse_other(variables | {"params": params}, plain, like=images_of(32), where=Path("run"))
