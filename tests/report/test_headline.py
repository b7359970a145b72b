"""The first sentence of the page, and the ladder in HTML, against figures by hand."""

import re

import pytest

from tljax.report.pages import climb, headline

RULES = {
    "finetune": [["head/.*", 1.0], ["base/block5_.*", 1.0], ["base/.*", None]],
    "differential": [["head/.*", 1.0], ["base/block5_.*", 0.3], ["base/block1_.*", 0.1]],
    "frozen": [["head/.*", 1.0], ["base/.*", None]],
    "scratch": [[".*", 1.0]],
}


def results(seconds=60.0, **accuracies):
    """`accuracies` are of each seed, on 4 photographs."""
    rows = [
        {"name": name, "seed": seed, "seconds": seconds}
        | {"validation": {"accuracy": value, "loss": 0.5, "n": 4}}
        for name, values in accuracies.items()
        for seed, value in enumerate(values)
    ]
    return {"data": {}, "rungs": rows, "environment": {"machine": "x86_64, 2 cores"}}


CONFIG = {
    "plan": {name: {"stage": {"rules": rules}} for name, rules in RULES.items()},
    "device": "1 x NVIDIA H200",
}


def test_the_sentence_has_result_interval_way_difference_time_and_device(said):
    found = results(scratch=[0.5], finetune=[1.0])
    judged = {"scratch": said([1, 1, 0, 0]), "finetune": said([1, 1, 1, 1])}
    text = headline.sentence(found, CONFIG, judged, split="validation")
    assert text == (
        "100.0 % of 4 validation photographs [51.0, 100.0], by fine-tuning from block 5 "
        "(finetune); no difference shown from a network from scratch; 2 of 4 rungs so far in 2 "
        "minutes on one NVIDIA H200"
    )
    judged = {"scratch": said([0] * 4), "finetune": said([1] * 4)}
    assert "100.0 points above a network from scratch" in headline.sentence(
        found, CONFIG | {"device": "1 x cpu"}, judged, split="validation"
    )


@pytest.mark.parametrize(
    ("rung", "way"),
    [
        ("finetune", "by fine-tuning from block 5 (finetune, 2 seeds)"),
        ("differential", "by fine-tuning the whole base (differential, 2 seeds)"),
        ("frozen", "by a new head on the frozen base (frozen, 2 seeds)"),
        ("scratch", "by training every layer (scratch, 2 seeds)"),
        ("other", "by its best rung (other, 2 seeds)"),
    ],
)
def test_the_way_follows_from_the_rules(rung, way):
    text = headline.sentence(results(**{rung: [0.5, 0.75]}), CONFIG, {}, split="validation")
    assert way in text
    cpu = CONFIG | {"device": "1 x cpu"}
    text = headline.sentence(results(7200.0, **{rung: [0.5, 0.75]}), cpu, {}, split="validation")
    assert text.endswith("1 of 4 rungs so far in 4.0 hours on 2 CPU cores")
    whole = {"plan": {rung: CONFIG["plan"].get(rung, {})}, "device": "1 x cpu"}
    text = headline.sentence(results(7200.0, **{rung: [0.5, 0.75]}), whole, {}, split="validation")
    assert text.endswith("trained in 4.0 hours on 2 CPU cores")
    two = results(7200.0, **{rung: [0.5, 0.75], "more": [0.5, 0.5]})
    text = headline.sentence(two, whole | {"plan": {rung: {}, "more": {}}}, {}, split="validation")
    assert text.endswith("all rungs in 8.0 hours on 2 CPU cores")


def test_a_source_is_named_by_its_last_folder():
    assert headline.source({"source": "folder:/home/me/photos/"}) == "photos"
    assert headline.source({"source": "tfds:cats"}) == "tfds:cats"


def test_bars_lie_where_the_figures_say(said):
    """100 of 100 against 90: axis -1 to 17 or so; the bar of the difference starts above 0."""
    one, other = [1] * 100, [1] * 90 + [0] * 10
    found = results(a=[0.9], b=[1.0], c=[1.0])
    judged = {"a": said(other), "b": said(one), "c": said(one)}
    text = "".join(climb.section(found, judged, split="validation"))
    assert re.findall(r"<b>([abc])</b>", text) == ["a", "b", "c"]
    assert "<b>+10.0</b> [" in text
    assert "the same on each <small>against b" in text
    axis = climb.Axis(-5.0, 20.0)
    assert (axis.place(0), axis.place(20), axis.ticks()) == (
        "20.00%",
        "100.00%",
        ["-5", "0", "5", "10", "15", "20"],
    )
    rungs = text.split('<div class="rung">')[1:]
    assert 'class="bar held"' in rungs[1].split('class="zero"')[1]
    assert 'class="bar none"' in rungs[2].split('class="zero"')[1]


def test_alarms_are_red_and_one_rung_has_no_differences():
    found = results(a=[0.9])
    found["rungs"][0]["collapsed"] = {"said": "a: collapsed"}
    text = "".join(climb.section(found, {}, split="validation"))
    assert '<b class="alarm"> (collapsed)</b>' in text
    assert "zero" not in text
    assert climb.section(results(), {}, split="validation") == []
