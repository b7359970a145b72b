from dataclasses import asdict
from pathlib import Path

import pytest

from tljax.errors import InputError
from tljax.models.build import Network
from tljax.runs.saved_network import described

META = {"network": asdict(Network()), "classes": ["cat", "dog"], "size": 32, "preprocess": {}}


def test_what_a_run_writes_is_read():
    assert described(META, where=Path("run")) == (Network(), {"classes": ("cat", "dog"), "size": 32})


def test_a_run_of_an_earlier_version_lacks_later_fields():
    told = {name: value for name, value in META["network"].items() if name != "feature_norm"}
    assert described(META | {"network": told}, where=Path("run"))[0] == Network()
    with pytest.raises(InputError, match="run: meta: network: expected what a run writes"):
        described(META | {"network": told | {"other": 1}}, where=Path("run"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("base", "../../elsewhere"),
        ("padding", "FULL"),
        ("width", 0.0),
        ("hidden", -1),
        ("norm", 1),
        ("feature_norm", 0),
    ],
)
def test_another_network_is_named_with_its_folder(name, value):
    told = META | {"network": META["network"] | {name: value}}
    with pytest.raises(InputError) as refused:
        described(told, where=Path("run"))
    assert str(refused.value) == f"run: meta: network.{name}: expected what a run writes, found {str(value)!r}"
