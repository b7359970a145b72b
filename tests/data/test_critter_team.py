"""Several processes draw the same as one, and none of them outlives the drawing."""

import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

import tljax
from tljax.data import critters
from tljax.data.critters import team

FEW = {
    "per_class": 60,
    "seed": 2,
    "size": 16,
    "split": "train",
    "progress": False,
}  # 120: chunks of 50, 50, 20


@pytest.fixture
def children(monkeypatch):
    """Every process that a test starts."""
    started, enter = [], team.Child.__enter__
    monkeypatch.setattr(team.Child, "__enter__", lambda c: started.append(c) or enter(c))
    return started


def test_same_bytes_from_one_process_and_from_two(children):
    alone, labels, ids = critters.make(["cat", "owl"], workers=1, **FEW)
    assert not children
    shared = critters.make(["cat", "owl"], workers=2, **FEW)
    assert len(children) == 2
    np.testing.assert_array_equal(shared[0], alone)
    np.testing.assert_array_equal(shared[1], labels)
    assert shared[2] == ids
    assert all(child.process.returncode is not None for child in children)


def test_a_failing_child_is_an_error_and_ends_the_others(children):
    out = np.empty((80, 16, 16, 3), np.uint8)
    jobs = [("cat", i) for i in range(79)] + [("unicorn", 0)]
    with pytest.raises(
        ChildProcessError, match=r"status 1: tljax\.errors\.InputError: .*unicorn"
    ) as caught:
        list(team.draw_all(jobs, out, seed=0, size=16, workers=2))
    assert "\n" not in str(caught.value)
    assert len(children) == 2
    assert all(child.process.returncode is not None for child in children)


def test_one_process_unless_there_is_enough_to_draw(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    sizes = [team.size_for(n) for n in (1, 400, 401, 600, 1600, 100_000)]
    assert sizes == [1, 1, 2, 3, 8, 8]


SCRIPT = """
    import signal, sys, warnings
    # A shell's background jobs are born deaf to it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    warnings.simplefilter("error")
    sys.path.insert(0, sys.argv[1])
    from tljax.data import critters
    from tljax.data.critters import team
    enter = team.Child.__enter__
    def announce(child):
        enter(child)
        print(child.process.pid, flush=True)
        return child
    team.Child.__enter__ = announce
    critters.make(["dog"], per_class=int(sys.argv[2]), seed=0, size=16, split="train", workers=2)
    print("drawn", "jax" in sys.modules)
"""


def start_script(folder: pathlib.Path, images: int) -> subprocess.Popen:
    """A script that calls `make` without a `__name__` guard,
    in a folder that hides a standard module.
    """
    (folder / "script.py").write_text(textwrap.dedent(SCRIPT))
    (folder / "json.py").write_text("raise ImportError('the wrong json')")
    root = pathlib.Path(tljax.__file__).parents[1]
    command = [sys.executable, "-P", folder / "script.py", root, str(images)]
    return subprocess.Popen(
        command,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_from_a_script_without_a_guard(tmp_path):
    script = start_script(tmp_path, 60)
    out, err = script.communicate(timeout=60)
    assert script.returncode == 0, err
    assert len(out.split()) == 4  # two children, not children of children
    assert out.endswith("drawn False\n")


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_children_end_with_their_parent(tmp_path, how):
    """Interrupted or killed itself, and the children not: each is gone within seconds."""
    script = start_script(tmp_path, 1_000_000)
    pids = [int(script.stdout.readline()) for _ in range(2)]
    out, err = ended(script, how)
    assert script.returncode == -how
    assert "drawn" not in out
    assert "ChildProcessError" not in err
    deadline = time.monotonic() + 20
    while any(pathlib.Path(f"/proc/{pid}").exists() for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def ended(script: subprocess.Popen, how: signal.Signals) -> tuple[str, str]:
    """Signal a script until it ends, as a person does; return what it wrote.

    Python drops an interrupt that arrives in a callback of its own, such as a weak reference's.
    """
    for _ in range(6):
        os.kill(script.pid, how)
        with contextlib.suppress(subprocess.TimeoutExpired):
            return script.communicate(timeout=10)
    script.kill()
    raise AssertionError(script.communicate()[1])
