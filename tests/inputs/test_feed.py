import jax
import numpy as np
import pytest

from tljax.inputs.feed import Examples, feed, place
from tljax.machine import devices, memory

INPUTS = np.arange(10 * 2, dtype=np.uint8).reshape(10, 2)
ROWS = [np.array(rows, np.int32) for rows in ([[3, 1], [4, 1]], [[9, 0], [2, 6]], [[5, 3], [5, 8]])]


def test_each_pass_has_the_next_view():
    """Row `view * N + example`, views around and around."""
    examples = Examples(np.zeros((6, 1)), np.zeros(3, np.int32), views=2)
    passes, example = np.array([0, 1, 2, 3]), np.array([1, 1, 2, 0])
    assert len(examples) == 3
    assert examples.rows(passes, example).tolist() == [1, 3 + 1, 2, 3 + 0]


@pytest.mark.parametrize("place", ["replicated", "sharded", "streamed"])
def test_the_pool_holds_the_rows_asked_for(place):
    over = devices.mesh()
    fed = list(feed(INPUTS, iter(ROWS), over=over, place=place))
    assert len(fed) == len(ROWS)
    for wanted, (pool, rows) in zip(ROWS, fed, strict=True):
        assert rows.shape == wanted.shape
        assert pool.dtype == np.uint8
        expected = devices.split_batch(over) if place == "sharded" else devices.replicated(over)
        assert pool.sharding.is_equivalent_to(expected, pool.ndim)
        np.testing.assert_array_equal(np.asarray(pool)[rows], INPUTS[wanted])


def test_a_resident_set_is_copied_once():
    pools = [pool for pool, _ in feed(INPUTS, ROWS, over=devices.mesh(), place="replicated")]
    assert all(pool is pools[0] for pool in pools)


def test_streaming_reads_one_step_ahead_and_no_further():
    asked = []
    rows = (asked.append(i) or wanted for i, wanted in enumerate(ROWS))
    stream = feed(INPUTS, rows, over=devices.mesh(jax.devices()[:1]), place="streamed")
    pool, _ = next(stream)
    assert pool.shape == (ROWS[0].size, 2)
    assert asked == [0, 1]
    assert len(list(stream)) == 2


def test_streaming_reads_a_memory_map(tmp_path):
    np.save(tmp_path / "images.npy", INPUTS)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    pool, rows = next(feed(mapped, ROWS, over=devices.mesh(jax.devices()[:1]), place="streamed"))
    np.testing.assert_array_equal(np.asarray(pool)[rows], INPUTS[ROWS[0]])


def test_a_divided_set_has_equal_parts_with_zeros_at_the_end():
    """Ten rows over eight devices: two each, and six rows of zeros."""
    over = devices.mesh()
    pool, _ = next(feed(INPUTS, ROWS, over=over, place="sharded"))
    assert [part.data.shape for part in pool.addressable_shards] == [(2, 2)] * 8
    np.testing.assert_array_equal(
        np.asarray(pool), np.concatenate([INPUTS, np.zeros((6, 2), np.uint8)])
    )


@pytest.mark.parametrize(
    ("count", "expected"),
    [(20, "replicated"), (21, "sharded"), (160, "sharded"), (161, "streamed")],
)
def test_a_set_may_have_half_of_a_devices_memory(monkeypatch, count, expected):
    """320 bytes that eight devices share: 40 each, of which a set gets 20."""
    pages = {"SC_PAGE_SIZE": 4, "SC_PHYS_PAGES": 80}
    monkeypatch.setattr(memory.os, "sysconf", pages.__getitem__)
    assert place(np.zeros(count, np.uint8), devices.mesh()) == expected


def test_a_set_that_one_device_cannot_hold_is_streamed_to_it(monkeypatch):
    pages = {"SC_PAGE_SIZE": 4, "SC_PHYS_PAGES": 80}
    monkeypatch.setattr(memory.os, "sysconf", pages.__getitem__)
    assert place(np.zeros(21, np.uint8), devices.mesh(jax.devices()[:1])) == "streamed"
