"""FLOPs that are told: the count by formula, whatever a backend says of its programs."""

import math

import jax
import numpy as np
import pytest

from tljax.audit.abstract_step import planned
from tljax.audit.cost import audit
from tljax.audit.forecast import outlook
from tljax.config import HEAD_ONLY, Stage
from tljax.data.sources import ImageSet, ImageSets
from tljax.machine import devices
from tljax.models.build import Network
from tljax.report.tables import costs
from tljax.report.tables.audit import audit_table
from tljax.report.tables.plan import plan_table
from tljax.train import loop, program, setup
from tljax.train.outcome.trained import MEASURES
from tljax.train.source import Source

STAGE = Stage("frozen", HEAD_ONLY, lr=1e-3, epochs=1, batch_size=4, dropout=0.5, keep_going=True)
LIBRARY = """ENTRY %main (x: f32[4,8,8,3], k: f32[3,3,3,8]) -> f32[4,8,8,8] {
  %x = f32[4,8,8,3] parameter(0)
  %k = f32[3,3,3,8] parameter(1)
  ROOT %y = f32[4,8,8,8] custom-call(%x, %k), custom_call_target="__cudnn$convForward"
}"""


class Compiled:
    """A program of a backend that tells what it likes, and moves nothing."""

    def __init__(self, metrics, told, text):
        self.metrics, self.told, self.text = metrics, told, text

    def __call__(self, state, *arguments):
        return state, jax.tree.map(lambda leaf: np.ones(leaf.shape, leaf.dtype), self.metrics)

    def cost_analysis(self):
        return self.told

    def memory_analysis(self):
        return None

    def as_text(self):
        return self.text


@pytest.fixture(
    params=[({"flops": 0.6e9}, LIBRARY), ({"flops": math.nan}, LIBRARY), (None, "")],
    ids=["a hundredth", "NaN", "nothing"],
)
def backend(request, monkeypatch):
    def compiled(lowered, options=None):
        return Compiled(lowered.out_info[1], *request.param)

    monkeypatch.setattr(jax.stages.Lowered, "compile", compiled)
    monkeypatch.setattr(jax.stages.Lowered, "cost_analysis", lambda self: request.param[0])


def test_an_audit_counts_the_traced_step(backend):
    """VGG16 at full width on 4 images of 150 x 150: forward, and the head backwards."""
    dry = planned(STAGE, Network(), classes=2, size=150)
    found = audit(dry, devices.mesh(jax.devices()[:1]))
    assert found.flops.found == pytest.approx(50.4e9, abs=0.05e9)
    assert math.isnan(found.compiler.found)
    assert math.isnan(found.temporary.found)
    table = [line.split() for line in audit_table(found, same_bits=True, launches=1).splitlines()]
    assert table[3][:3] == ["FLOPs", "50.38", "G"]
    assert table[5][3:5] == ["compiler", "unknown"]


def test_a_count_of_less_than_the_products_is_no_second_opinion(monkeypatch):
    """Also where the program's text shows no library that computes them."""
    monkeypatch.setattr(
        jax.stages.Lowered,
        "compile",
        lambda lowered, options=None: Compiled(lowered.out_info[1], {"flops": 6e6}, ""),
    )
    dry = planned(STAGE, Network(options={"width": 0.125}), classes=2, size=48)
    assert math.isnan(audit(dry, devices.mesh(jax.devices()[:1])).compiler.found)


@pytest.fixture(scope="module")
def source():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (4, 150, 150, 3), np.uint8)
    split = ImageSet(images, np.arange(4, dtype=np.int32) % 2, tuple("abcd"))
    return Source(ImageSets("noise", ("cat", "dog"), split, split, "0" * 64), progress=False)


@pytest.fixture(scope="module")
def ready(source):
    return setup.prepare(STAGE, Network(), source, seed=0)


def test_plan_history_and_page_have_the_count(source, ready, backend, monkeypatch):
    pair = STAGE, setup.outline(STAGE, Network(), source)
    programs = program.ahead({"frozen": pair})
    (look,) = outlook({"frozen": pair}, programs)
    assert look.step_flops == pytest.approx(50.4e9, abs=0.05e9)
    assert "50.4 G" in plan_table([look])

    scores = {"loss": 1.0, "accuracy": 0.5, "n": 4}
    monkeypatch.setattr(loop, "make_evaluate", lambda **given: lambda state: scores)
    _, history = loop.train_stage(STAGE, ready, seed=0, program=programs["frozen"], progress=False)
    assert history.step_flops == look.step_flops
    row = {name: getattr(history, name) for name in MEASURES}
    row |= {"name": "frozen", "seed": 0, "trainable_params": 1, "total_params": 2}
    (texts,) = costs.rows({"rungs": [row]}, {})
    assert dict(zip(costs.COLUMNS, texts, strict=True))["FLOPs a step"] == "50.4 G"
