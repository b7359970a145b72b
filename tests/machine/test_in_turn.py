"""On an accelerator one thread compiles at a time, and nowhere the same program twice."""

import threading
import time
from collections import OrderedDict

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tljax.machine import in_turn
from tljax.models import ops


@pytest.fixture
def accelerator(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")


def waiting(count):
    """Wait until so many threads stand in line, the one whose turn it is included."""
    ends = time.monotonic() + 30
    while len(in_turn._line) != count:
        assert time.monotonic() < ends
        time.sleep(0.001)


def test_first_come_first_served(accelerator):
    served = []

    def compile(number):
        with in_turn.turn(), in_turn.turn():  # its own turn is never waited for
            served.append(number)

    threads = [threading.Thread(target=compile, args=(number,)) for number in range(4)]
    with in_turn.turn():
        for count, thread in enumerate(threads, start=2):
            thread.start()
            waiting(count)
        assert served == []
    for thread in threads:
        thread.join()
    assert served == [0, 1, 2, 3]
    assert not in_turn._line


def test_whoever_fails_or_no_longer_waits_lets_the_next_one_in(accelerator, monkeypatch):
    with pytest.raises(ValueError, match="did not compile"), in_turn.turn():
        raise ValueError("did not compile")
    other = threading.Event()

    def holds():
        with in_turn.turn():
            assert other.wait(timeout=30)

    thread = threading.Thread(target=holds)
    thread.start()
    waiting(1)
    with monkeypatch.context() as patch:
        patch.setattr(in_turn._moved, "wait_for", interrupted)
        with pytest.raises(KeyboardInterrupt), in_turn.turn():
            pytest.fail("two at once")
    waiting(1)
    other.set()
    thread.join()
    with in_turn.turn():
        waiting(1)


def interrupted(_):
    raise KeyboardInterrupt


def test_only_what_must_be_compiled_waits(accelerator):
    """The first call with a shape waits for whoever compiles, the next ones do not."""
    traced = []

    def twice(x):
        traced.append(x.shape)
        return 2 * x

    program = in_turn.of(jax.jit(twice))
    assert program(jnp.float32(3)) == 6
    seen, done = threading.Event(), threading.Event()

    def run():
        assert program(jnp.float32(4)) == 8
        seen.set()
        assert program(jnp.ones(2)).shape == (2,)
        done.set()

    thread = threading.Thread(target=run)
    with in_turn.turn():
        thread.start()
        assert seen.wait(timeout=30)
        waiting(2)
        assert not done.is_set()
    thread.join()
    assert done.is_set()
    assert traced == [(), (2,)]


def test_on_cpu_nobody_waits():
    inside = threading.Barrier(2, timeout=30)

    def compile():
        with in_turn.turn():
            inside.wait()

    threads = [threading.Thread(target=compile) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not inside.broken


@pytest.fixture
def compilations(monkeypatch):
    """The compilations of this test, of functions called `scaled`."""
    spans = []

    def note(event, start, end, *, fun_name="", **_):
        if event.endswith("backend_compile_duration") and fun_name == "jit(scaled)":
            spans.append((start, end))

    monkeypatch.setattr(in_turn, "_kept", OrderedDict())
    jax.monitoring.register_event_time_span_listener(note)
    yield spans
    jax.monitoring.unregister_event_time_span_listener(note)


def by(factor):
    """A function made anew, as each stage makes its own."""

    def scaled(x):
        return x * factor

    return in_turn.of(jax.jit(scaled))


def test_the_same_text_is_compiled_once(compilations):
    x = np.arange(3, dtype=np.float32)
    first, again = by(np.float32(2)), by(np.float32(2))
    np.testing.assert_array_equal(first(x), [0, 2, 4])
    np.testing.assert_array_equal(again(x), first(x))
    assert len(compilations) == 1
    assert again(x[:2]).shape == (2,)
    assert len(compilations) == 2


def test_what_differs_is_not_shared(compilations):
    """Constants, options of the compiler, places: eight devices are simulated."""
    x = np.arange(3, dtype=np.float32)
    closed = [by(np.array([1, 2, last], np.float32)) for last in (3, 5)]
    assert [float(each(x)[2]) for each in closed] == [6, 10]
    on = [jax.device_put(x, device) for device in jax.devices()[:2]]
    found = [by(np.float32(2))(each) for each in on]
    assert [each.devices() for each in found] == [each.devices() for each in on]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ops, "compiler_options", lambda: {"xla_backend_optimization_level": 0})
        by(np.float32(2))(on[0])
    assert len(compilations) == 5


def test_where_constants_are_no_text_nothing_is_shared(compilations, monkeypatch):
    monkeypatch.setattr(in_turn, "_constants_are_text", lambda: False)
    for last in (3, 5):
        assert float(by(np.array([1, 2, last], np.float32))(np.ones(3, np.float32))[2]) == last
    assert len(compilations) == 2
    assert not in_turn._kept


def test_the_newest_are_kept(compilations, monkeypatch):
    monkeypatch.setattr(in_turn, "_MOST", 2)
    x = np.ones(1, np.float32)
    for factor in (1, 2, 1, 3, 1, 2):  # the last 2 was forgotten when 3 came
        assert float(by(np.float32(factor))(x)[0]) == factor
    assert len(compilations) == 4
