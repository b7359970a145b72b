from dataclasses import asdict
from pathlib import Path

import pytest

from tljax.errors import InputError
from tljax.models.build import Network
from tljax.train.described import described

META = {"network": asdict(Network()), "classes": ["cat", "dog"], "size": 32, "preprocess": {}}


def test_what_a_run_writes_is_read():
    assert described(META, where=Path("run")) == (Network(), {"classes": ("cat", "dog"), "size": 32})


@pytest.mark.parametrize(
    ("name", "value"), [("base", "../../elsewhere"), ("padding", "FULL"), ("width", 0.0), ("hidden", -1), ("norm", 1)]
)
def test_another_network_is_named_with_its_folder(name, value):
    told = META | {"network": META["network"] | {name: value}}
    with pytest.raises(InputError) as refused:
        described(told, where=Path("run"))
    assert str(refused.value) == f"run: meta: network.{name}: expected what a run writes, found {str(value)!r}"
