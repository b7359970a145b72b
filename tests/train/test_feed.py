import jax
import numpy as np
import pytest

from tljax.train import devices
from tljax.train import feed as feed_lib
from tljax.train.feed import Examples, feed, fits

INPUTS = np.arange(10 * 2, dtype=np.uint8).reshape(10, 2)
ROWS = [np.array(rows, np.int32) for rows in ([[3, 1], [4, 1]], [[9, 0], [2, 6]], [[5, 3], [5, 8]])]


def test_each_pass_has_the_next_view():
    """Row `view * N + example`, views around and around."""
    examples = Examples(np.zeros((6, 1)), np.zeros(3, np.int32), views=2)
    passes, example = np.array([0, 1, 2, 3]), np.array([1, 1, 2, 0])
    assert len(examples) == 3
    assert examples.rows(passes, example).tolist() == [1, 3 + 1, 2, 3 + 0]


@pytest.mark.parametrize("resident", [True, False])
def test_the_pool_holds_the_rows_asked_for(resident):
    over = devices.mesh()
    fed = list(feed(INPUTS, iter(ROWS), over=over, resident=resident))
    assert len(fed) == len(ROWS)
    for wanted, (pool, rows) in zip(ROWS, fed, strict=True):
        assert rows.shape == wanted.shape
        assert pool.dtype == np.uint8
        assert pool.sharding.is_equivalent_to(devices.replicated(over), pool.ndim)
        np.testing.assert_array_equal(np.asarray(pool)[rows], INPUTS[wanted])


def test_a_resident_set_is_copied_once():
    pools = [pool for pool, _ in feed(INPUTS, ROWS, over=devices.mesh(), resident=True)]
    assert all(pool is pools[0] for pool in pools)


def test_streaming_reads_one_step_ahead_and_no_further():
    asked = []
    rows = (asked.append(i) or wanted for i, wanted in enumerate(ROWS))
    stream = feed(INPUTS, rows, over=devices.mesh(jax.devices()[:1]), resident=False)
    pool, _ = next(stream)
    assert pool.shape == (ROWS[0].size, 2)
    assert asked == [0, 1]
    assert len(list(stream)) == 2


def test_streaming_reads_a_memory_map(tmp_path):
    np.save(tmp_path / "images.npy", INPUTS)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    pool, rows = next(feed(mapped, ROWS, over=devices.mesh(jax.devices()[:1]), resident=False))
    np.testing.assert_array_equal(np.asarray(pool)[rows], INPUTS[ROWS[0]])


def test_a_set_may_have_half_of_the_memory(monkeypatch):
    pages = {"SC_PAGE_SIZE": 4, "SC_PHYS_PAGES": 10}
    monkeypatch.setattr(feed_lib.os, "sysconf", pages.__getitem__)
    assert fits(np.zeros(20, np.uint8))
    assert not fits(np.zeros(21, np.uint8))
