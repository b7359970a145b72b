"""Small functions on trees, by written-out ones."""

from tljax.tree import flatten, leaves, nest, statistics


def test_statistics_are_all_but_the_parameters():
    variables = {"params": {"conv": 1}, "batch_stats": {"norm": 2}}
    assert statistics(variables) == {"batch_stats": {"norm": 2}}
    assert statistics({"params": {}}) == {}


def test_paths_begin_at_the_root_and_come_back():
    tree = {"base": {"conv1": {"kernel": 1, "bias": 2}}, "head": {"bias": 3}}
    flat = {"base/conv1/kernel": 1, "base/conv1/bias": 2, "head/bias": 3}
    assert flatten(tree) == flat
    assert nest("here", flat) == tree
    assert leaves({"params": tree, "step": 4}) == {
        **{f"params/{path}": leaf for path, leaf in flat.items()},
        "step": 4,
    }
