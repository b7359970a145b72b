"""On an accelerator one thread compiles at a time; on CPU all do."""

import threading
import time

import jax
import jax.numpy as jnp
import pytest

from tljax.machine import in_turn


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
    program = jax.jit(jnp.negative)
    assert in_turn.of(program) is program
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
