import numpy as np

from tljax.config import TRAIN_ALL, Stage
from tljax.train.early_stopping import Keeper
from tljax.train.step import State


def watch(losses, **options):
    """After which epoch it had enough (None: never), and the epoch and state it ends with."""
    keeper = Keeper(Stage("s", TRAIN_ALL, lr=1.0, epochs=99, **options))
    records = []
    for epoch, loss in enumerate(losses, start=1):
        records.append({"epoch": epoch, "validation": {"loss": loss}})
        if keeper.enough(records, State(np.int32(10 * epoch), {"w": np.zeros(1)}, {}, None)):
            return epoch, keeper.chosen()
    return None, keeper.chosen()


def test_it_stops_after_so_many_epochs_without_a_better_one_and_returns_to_the_best():
    ended, (epoch, state) = watch([5, 4, 3, 3.5, 3.1, 2], patience=2)
    assert (ended, epoch, int(state.step)) == (5, 3, 30)
    ended, (epoch, _) = watch(
        [5, 4, 3, 3.5, 2, 3, 3], patience=2
    )  # a better one starts the count anew
    assert (ended, epoch) == (7, 5)
    ended, (epoch, _) = watch([3, 4, 5], patience=3)
    assert (ended, epoch) == (None, 1)


def test_it_steps_back_a_number_of_epochs():
    ended, (epoch, state) = watch([5, 4, 3, 3.5, 3.1], patience=2, step_back=1)
    assert (ended, epoch, int(state.step)) == (5, 4, 40)
    _, (epoch, _) = watch([5, 4], patience=2, step_back=7)
    assert epoch == 1


def test_without_patience_nothing_is_kept():
    assert watch([1, 2, 3]) == (None, None)
