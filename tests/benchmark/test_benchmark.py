"""The benchmark: arithmetic by hand, order, missing peers, and a small run of the whole command."""

import json
import math
import sys
import threading
import time
from dataclasses import replace

import pytest

from tljax.benchmark import field as bench_field
from tljax.benchmark import race as bench_race
from tljax.benchmark import timing as bench_timing
from tljax.benchmark.budget import budget, cost
from tljax.benchmark.child import Child
from tljax.benchmark.field import Field
from tljax.benchmark.rows import CPU, GPU, ROWS, WHO, Against, Row
from tljax.benchmark.timing import Entrant, PeerError
from tljax.commands import benchmark
from tljax.errors import InputError
from tljax.models import ops
from tljax.report.pictures.benchmark import benchmark_table, row_line

TINY = (
    "size=48 batch=2 vgg_batch=2 width=0.0625 lite0_size=32 matrix=64 photographs=2 evaluated=3 "
    "calls_steps=2 epoch_steps=2 seconds=0.001 seeds=2 scratch_seeds=2 seeds_epochs=1 "
    "photographs_seen=4 small_batch=2 small_steps=2"
)


class Scripted:
    """A field whose entrants take the seconds they are told to; it remembers who was called."""

    def __init__(self, seconds, *, missing=()):
        self.seconds, self.missing, self.order = (
            {who: iter(times) for who, times in seconds.items()},
            missing,
            [],
        )

    def entrant(self, who, contender):
        if who in self.missing:
            raise PeerError("not installed")

        def seconds(repeats):
            self.order.append(who)
            return next(self.seconds[who])

        return Entrant(seconds, {"images": 8.0 if who == "ours" else 4.0})

    def drop(self, who, contender):
        self.order.append(f"drop {who}")


ROW = Row("step", "a step", "step", (Against("torch", "step", 1.5), Against("keras", "step")))


def only(row, field, **options):
    (found,) = bench_race.measure(
        (row,), replace(CPU, seconds=0.0), field, **{"rounds": 3, **options}
    )
    return found


def test_a_ratio_is_of_medians_and_its_spread_of_rounds():
    found = bench_timing.ratio([2.0, 1.0, 4.0], [6.0, 8.0, 4.0], work=0.5)
    assert found == bench_timing.Ratio(value=0.5 * 6 / 2, low=0.5 * 4 / 4, high=0.5 * 8 / 1)


def test_contenders_take_turns_after_a_warm_up_and_a_trial():
    field = Scripted({"ours": [9, 9, 1, 2, 3], "torch": [9, 9, 4, 5, 9], "keras": [9, 9, 6, 6, 6]})
    found = only(ROW, field)
    assert field.order[:6] == ["ours"] * 2 + ["torch"] * 2 + ["keras"] * 2
    assert field.order[6:15] == ["ours", "torch", "keras"] * 3
    assert field.order[15:] == ["drop ours", "drop torch", "drop keras"]
    assert found["seconds"] == 2
    assert found["against"][0]["seconds"] == 5
    # 8 images in 2 s against 4 in 5 s; rounds 1 to 4, 2 to 5 and 3 to 9
    assert found["against"][0]["ratio"] == {"value": 5.0, "low": 5.0, "high": 8.0}


def test_a_round_lasts_as_long_as_it_should():
    counts = []

    def seconds(repeats):
        counts.append(repeats)
        return 0.3

    bench_timing.race([Entrant(seconds, {})], rounds=2, seconds=1.0)
    assert counts == [1, 1, 4, 4]
    bench_timing.race([Entrant(seconds, {}, once=True)], rounds=2, seconds=1.0)
    assert counts[4:] == [1, 1]


@pytest.mark.parametrize(
    ("load", "met", "goal"), [(0.1, True, "1.5 met"), (0.9, None, "1.5 not judged (load)")]
)
def test_a_goal_is_judged_where_the_machine_was_quiet(monkeypatch, load, met, goal):
    monkeypatch.setattr(bench_timing.Load, "cores", lambda self: load)
    found = only(ROW, Scripted({"ours": [1] * 5, "torch": [1] * 5, "keras": [1] * 5}))
    assert [each["met"] for each in found["against"]] == [met, None]
    assert goal in benchmark_table({"rows": [found]})


def test_a_goal_that_is_missed_says_so(monkeypatch):
    monkeypatch.setattr(bench_timing.Load, "cores", lambda self: None)
    found = only(ROW, Scripted({"ours": [1] * 5, "torch": [0.7] * 5, "keras": [1] * 5}))
    assert found["against"][0]["met"] is False
    assert "1.40-1.40 (3)  1.5 missed" in benchmark_table({"rows": [found]})


def test_a_missing_peer_is_a_line_of_the_table():
    found = only(ROW, Scripted({"ours": [1] * 5, "torch": [1] * 5}, missing=("keras",)))
    assert "ratio" in found["against"][0]
    assert found["against"][1]["missing"] == "not installed"
    assert "not installed" in benchmark_table({"rows": [found]}).splitlines()[2]


def test_a_row_without_time_is_a_line_of_the_table():
    found = only(ROW, Scripted({}), deadlines=[-math.inf])
    assert [each["missing"] for each in found["against"]] == ["no time left"] * 2


def test_no_round_begins_that_would_end_too_late(monkeypatch):
    """Rounds of 3 s until 10: three. Trials that foretell a round of 30: none."""
    clock = [0.5]
    monkeypatch.setattr(bench_timing.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(bench_timing.Load, "cores", lambda self: 0.0)

    def seconds(repeats):
        clock[0] += 1.5
        return 1.5

    two = [Entrant(seconds, {}, once=True)] * 2
    assert bench_timing.race(two, rounds=9, seconds=0.0, deadline=10.0) == [[1.5] * 3] * 2
    slow = [Entrant(lambda repeats: 30.0, {})]
    assert bench_timing.race(slow, rounds=9, seconds=0.0, deadline=10.0 + clock[0]) == [[]]
    field = Scripted({"ours": [30.0] * 2, "torch": [1.0] * 2, "keras": [1.0] * 2})
    found = only(ROW, field, deadlines=[clock[0] + 10.0])
    assert [each["missing"] for each in found["against"]] == ["no time left"] * 2


def test_a_peer_that_fails_in_the_race_is_a_line_and_the_others_go_on():
    def failing(repeats):
        raise PeerError("not finished in 7 s")

    class Failing(Scripted):
        def entrant(self, who, contender):
            made = super().entrant(who, contender)
            return replace(made, seconds=failing) if who == "torch" else made

    found = only(ROW, Failing({"ours": [1] * 5, "torch": [], "keras": [2] * 5}))
    assert found["against"][0]["missing"] == "not finished in 7 s"
    assert found["against"][1]["ratio"]["value"] == 4.0
    assert found["rounds"] == 3


def test_peers_are_made_while_ours_is():
    """Each begins, and ends when it knows that the others have begun."""
    together = threading.Barrier(3, timeout=20)

    class Meeting(Scripted):
        def entrant(self, who, contender):
            together.wait()
            return super().entrant(who, contender)

    found = only(ROW, Meeting({"ours": [1] * 5, "torch": [1] * 5, "keras": [1] * 5}))
    assert ["ratio" in each for each in found["against"]] == [True, True]


def test_a_peer_has_until_the_rounds_to_be_made_and_a_moment_more_to_end_them(monkeypatch):
    untils = []

    class Noting(Scripted):
        def entrant(self, who, contender):
            untils.append(self.until)
            return super().entrant(who, contender)

    now = bench_timing.time.monotonic()
    field = Noting({"ours": [1] * 5, "torch": [1] * 5, "keras": [1] * 5})
    settings = replace(CPU, seconds=2.0)
    bench_race.measure((ROW,), settings, field, rounds=3, deadlines=[now + 100])
    assert untils == [now + 100 - 3 * 5 * 2] * 3
    assert field.until == now + 110


def test_peers_that_cannot_run_say_why(monkeypatch, tmp_path):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    absent, wrong = Field(CPU, torch_python=None), Field(CPU, torch_python=str(tmp_path / "python"))
    with pytest.raises(PeerError, match=r"not installed; --torch-python PATH"):
        absent.entrant("torch", "forward")
    with pytest.raises(PeerError, match=r"^not installed$"):
        absent.entrant("keras", "decode")
    with pytest.raises(PeerError, match=r"python: No such file"):
        wrong.entrant("torch", "forward")
    for field in (absent, wrong):
        field.close()


def test_a_child_that_ends_or_fails_says_so_in_a_line():
    gone, failing = Child(sys.executable, "nothing"), Child(sys.executable, "bounds")
    with pytest.raises(PeerError, match="ended with status 1"):
        gone.ask({"make": "copy", "settings": {}})
    with pytest.raises(PeerError, match="KeyError: 'no such'"):
        failing.ask({"make": "no such", "settings": {}})
    for child in (gone, failing):
        child.close()


def test_a_child_that_does_not_answer_in_time_is_ended_and_another_one_asked(monkeypatch):
    """As one that compiles for ever: the row says so, and what it had made is made again."""
    field = Field(replace(CPU, matrix=8), torch_python=None)
    monkeypatch.setitem(bench_field._MODULES, "keras", "bounds")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    made = field.entrant("keras", "copy")
    assert made.seconds(1) > 0
    first = field._children["keras"]
    field.until = time.monotonic()
    with pytest.raises(PeerError, match=r"^not finished in \d+ s$"):
        made.seconds(10**9)
    assert first.ended
    assert field._children == {}
    field.until = math.inf
    assert field.entrant("keras", "copy").seconds(1) > 0
    field.drop("keras", "copy")
    field.close()


def test_every_row_names_contenders_that_exist():
    from tljax.benchmark import bounds as bench_bounds
    from tljax.benchmark import keras_side, tljax_side

    makers = {
        "ours": tljax_side,
        "uncached": tljax_side,
        "bound": bench_bounds,
        "keras": keras_side,
    }
    for row in ROWS:
        assert row.ours in tljax_side.MAKERS
        for each in row.against:
            assert each.who in WHO
            assert each.who == "torch" or each.contender in makers[each.who].MAKERS
    assert (GPU.vgg_batch, GPU.dtype, GPU.size) == (256, "bfloat16", 150)


@pytest.fixture
def command(monkeypatch, in_a_hurry, tmp_path):
    """Run the command, small, in this process; the folder of its files."""
    monkeypatch.setattr(ops, "compiler_options", in_a_hurry)

    def run(*words):
        monkeypatch.setattr(
            sys, "argv", ["benchmark", *words, "--out", str(tmp_path), "--quiet", "--rounds", "1"]
        )
        benchmark.main()
        return tmp_path

    return run


def test_the_accelerator_s_rows_run_at_any_size(command, capsys):
    """In bfloat16, with a child; PyTorch is not here."""
    rows = "augmentation,cached block5 step,evaluation,decode"
    folder = command(
        "gpu", "--json", "--rows", rows, "--torch-python", "/nowhere/python", "--set", *TINY.split()
    )
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((folder / "benchmark.json").read_text())
    assert [row["name"] for row in printed["rows"]] == rows.split(",")
    against = [each for row in printed["rows"] for each in row["against"]]
    assert {each["who"] for each in against if "missing" in each} == {"torch"}
    assert all(0 < each["ratio"]["value"] < math.inf for each in against if "ratio" in each)
    assert (folder / "benchmark.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--rows", "full step,half step"), "--rows: expected some of .*; found 'half step'"),
        (("--set", "size=0"), "--set: expected a positive number, found 'size=0'"),
        (
            ("--set", "dtype=float16"),
            "--set: expected NAME=VALUE with a name that has a number, found 'dtype=float16'",
        ),
    ],
)
def test_a_wrong_option_is_named(command, words, message):
    with pytest.raises(InputError, match=message):
        command(*words)


SHORT = replace(CPU, starting=10.0, making=4.0, peer_making=3.0, seconds=1.0)
OTHER = Row("other", "shares our step", "other", (Against("ours", "step"), Against("bound", "b")))
DEAR = Row("dear", "one call is long", "dear", (), lasts=(50.0, 2.0))
FRESH = Row("fresh", "processes", "step", (Against("torch", "step"),), fresh=True)


def test_rows_take_their_turn_in_the_time_and_share_what_is_over():
    """A step of ours and two peers: 4 to compile and 3 x 4 calls of a second. The other row shares
    the step; what is dear is left out, and the row after it is not.
    """
    rows = (ROW, DEAR, OTHER)
    plan = budget(rows, SHORT, rounds=2, seconds=84)
    assert plan.rows == (ROW, OTHER)
    # 10 to start, 4 + 12 and 4 + 12: 42 of 84 seconds, so each has twice that.
    assert plan.ends == (2 * 26, 2 * 42)
    assert plan.left_out == ((DEAR, 4 + 3 * 50),)
    assert plan.told() == "time: step 52 s, other 32 s\nno time for: dear (about 154 s)"
    assert budget(rows, SHORT, rounds=2, seconds=25).rows == ()
    # A process for each of two entrants, twice, and one more to fill the caches.
    assert budget((FRESH,), SHORT, rounds=2, seconds=1000).ends == (1000,)
    assert cost(FRESH, SHORT, rounds=2, made=set()) == 2 * 3 * 14
    assert cost(FRESH, SHORT, rounds=2, made=set(), peers=set()) == 3 * 14


def test_a_plan_knows_the_platform_and_what_peers_take_to_compile():
    """Peers compile meanwhile, each in its process; an absent one takes nothing."""
    slow = replace(SHORT, peer_making=50.0)
    assert cost(ROW, slow, rounds=2, made=set()) == 50 + 3 * 4
    assert cost(ROW, slow, rounds=2, made={("torch", "step"), ("keras", "step")}) == 4 + 3 * 4
    assert cost(ROW, slow, rounds=2, made=set(), peers=frozenset()) == 4 + 4
    accelerated = replace(SHORT, accelerated=True)
    assert cost(DEAR, accelerated, rounds=9, made=set()) == 4 + (3 + 1) * 2
    seconds = {row.name: cost(row, GPU, rounds=5, made=set()) for row in ROWS}
    assert seconds["scratch seeds"] < 150
    assert seconds["scratch seeds"] < cost(ROWS[-3], CPU, rounds=5, made=set())


def test_the_small_step_is_an_accelerator_s_row_with_a_goal_of_its_own(monkeypatch):
    """8 images in 1e-4 s are 80,000 a second."""
    monkeypatch.setattr(bench_timing.Load, "cores", lambda self: 0.0)
    (row,) = benchmark._rows("scratch step at 32", GPU)
    assert row not in benchmark._rows(None, CPU)
    for seconds, met, told in ((1e-4, True, "45,000 img/s met"), (1e-3, False, "img/s missed")):
        found = only(row, Scripted({"ours": [seconds] * 5}, missing=("torch", "bound")))
        assert found["met"] is met
        assert told in row_line(found)
        assert told in benchmark_table({"rows": [found]}).splitlines()[-1]


def test_what_later_rows_need_is_made_once_and_kept(monkeypatch):
    made, dropped = [], []

    class Counting(Field):
        def _here(self, who, contender):
            made.append((who, contender))
            return Entrant(lambda repeats: 1.0, {"images": 1.0})

        def drop(self, who, contender):
            dropped.append((who, contender, len(made)))
            super().drop(who, contender)

    mine = Row("step", "alone", "step", (Against("bound", "b"),))
    field = Counting(CPU, torch_python=None)
    found = bench_race.measure((mine, OTHER), replace(CPU, seconds=0.0), field, rounds=1)
    field.close()
    assert made == [("ours", "step"), ("bound", "b"), ("ours", "other")]
    assert {pair[:2] for pair in dropped if pair[2] == 2} == set()
    assert [each["ratio"]["value"] for row in found for each in row["against"]] == [1, 1, 1]


def test_a_row_is_one_line_to_paste(monkeypatch):
    monkeypatch.setattr(bench_timing.Load, "cores", lambda self: 0.1)
    field = Scripted({"ours": [1, 1, 2, 2, 2], "torch": [1, 1, 3, 3, 4]}, missing=("keras",))
    assert row_line(only(ROW, field)) == (
        "step: 4 img/s, 3.00 of PyTorch step (3.00 to 4.00), "
        "Keras 3 on JAX step: not installed; 3 rounds, load 0.10"
    )


def test_a_bound_is_a_true_ratio_whatever_the_compiler_says(monkeypatch):
    """Of the scratch step: three times each product, but the first convolution's image."""
    from tljax.benchmark import tljax_side

    monkeypatch.setattr("jax.stages.Lowered.cost_analysis", lambda self: {"flops": 0.6})
    settings = replace(CPU, size=64, batch=2, calls_steps=1, epoch_steps=1)
    sides, channels = (62, 29, 12, 4), (3, 32, 64, 128, 128)
    convolutions = [
        2 * 2 * 9 * side**2 * channels[i] * channels[i + 1] for i, side in enumerate(sides)
    ]
    head = 2 * 2 * (512 * 512 + 512)
    expected = 3 * sum(convolutions) - convolutions[0] + 3 * head
    assert tljax_side.MAKERS["scratch step"](settings).work["flops"] == expected
