"""What is told of a device's memory, and what is not known."""

import ctypes
import math
import os
import types
from types import SimpleNamespace

import jax
import pytest

from tljax.config import TRAIN_ALL, Stage
from tljax.errors import InputError
from tljax.machine import memory

STAGE = Stage("large", TRAIN_ALL, lr=1e-3, epochs=1, batch_size=64)


def program(*, arguments=0, results=0, temporary=0):
    sizes = SimpleNamespace(
        argument_size_in_bytes=arguments,
        output_size_in_bytes=results,
        temp_size_in_bytes=temporary,
    )
    return SimpleNamespace(memory_analysis=lambda: sizes)


def device(monkeypatch, stats):
    monkeypatch.setattr(jax, "local_devices", lambda: [SimpleNamespace(memory_stats=lambda: stats)])


def test_a_count_without_results_is_unknown():
    """Every program has results: a backend that says 0 has not counted."""
    assert memory.temporary(program(results=8, temporary=5)) == 5
    assert math.isnan(memory.temporary(program()))
    assert math.isnan(memory.temporary(SimpleNamespace(memory_analysis=lambda: None)))


def refused(compiled):
    full = jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of\nmemory")
    with pytest.raises(InputError) as caught, memory.explained(STAGE, compiled):
        raise full
    return str(caught.value)


def test_an_accelerator_says_how_much_there_is_and_that_others_may_hold_it(monkeypatch):
    device(monkeypatch, {"bytes_limit": 33_000_000_000})
    needed = program(arguments=40_000_000_000, results=1_000_000, temporary=2_000_000)
    assert refused(needed) == (
        "stage 'large': batch size 64 does not fit into the device's memory: its program takes "
        "40003 MB of the 33000 MB that this process may use; try 32 "
        "(RESOURCE_EXHAUSTED: out of memory); nvidia-smi shows what other processes hold"
    )
    assert memory.room() == 16_500_000_000


@pytest.mark.parametrize("stats", [None, {}])
def test_a_device_that_does_not_say_shares_the_host_s(monkeypatch, stats):
    device(monkeypatch, stats)
    assert refused(program()) == (
        "stage 'large': batch size 64 does not fit into the device's memory; try 32 "
        "(RESOURCE_EXHAUSTED: out of memory)"
    )
    host = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert memory.room() == host // 2


def test_the_memory_of_a_machine_without_sysconf_is_asked_of_windows(monkeypatch):
    """After two numbers of four bytes, its own size and the load, comes all of the memory."""

    class Kernel:
        @staticmethod
        def GlobalMemoryStatusEx(reference):
            status = reference._obj
            assert status[0] == ctypes.sizeof(status) == 64
            status[1] = 12 << 30
            return 1

    monkeypatch.delattr(os, "sysconf")
    monkeypatch.setattr(ctypes, "windll", types.SimpleNamespace(kernel32=Kernel), raising=False)
    assert memory.host() == 12 << 30
