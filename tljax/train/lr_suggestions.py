"""Rates that a range test suggests, by the four rules of fastai 2, as formulas.

fastai's are in `fastai/callback/schedule.py`. All read the smoothed losses l against the rates r at
equal steps, without the first tenth of the sweep, where the average is young, and without the last
five steps. Unlike fastai's they also leave out everything from where the loss has risen a tenth
above its highest in the first third of the sweep: a network that breaks there and returns to
guessing descends too, but no rate of that descent is one to train at. Where fewer than two steps
remain, they read all there are. A curve that does not fall there by more than its own noise
suggests nothing: every rule would still name a rate.
"""

# pyright: strict

from collections.abc import Iterable, Iterator

import numpy as np

BETA = 0.98  # of the smoothed loss, fastai's
# Standard errors of the first smoothed loss that a fall must exceed: of 2,000 sweeps of white noise
# (normal, exponential, Student's with 3 degrees), 100 steps each, fewer than 1 % fell further.
SURE = 3.5
LEAST_SHARE = 0.01  # and of that loss, and in nats: what a head that has learnt its photographs by
LEAST = 1e-3  # heart can still lose is no sign of a rate
QUIET = 8  # losses at least that the noise is measured on
INTERVAL = 15  # steps between the two places that `slide` compares
RISEN = 1.1  # times the highest loss of the first third
LEVEL = 0.005  # the difference of slopes, in loss per step, below which they count as equal


def suggestions(
    rates: np.ndarray, smoothed: np.ndarray, *, steps: int, losses: np.ndarray | None = None
) -> dict[str, float]:
    """Map steepest, minimum/10, valley and slide to their rates, for a sweep planned for `steps`.

    `losses` are those of the batches, `smoothed` without them. Empty for fewer than two losses, and
    where they do not fall (`fell`).
    """
    window = _kept(smoothed, steps)
    r, loss = rates[window], smoothed[window]
    if len(r) < 2 or not fell(smoothed if losses is None else losses, window, steps=steps):
        return {}
    return {
        "steepest": steepest(r, loss),
        "minimum/10": tenth_of_minimum(r, loss),
        "valley": valley(r, loss),
        "slide": slide(r, loss),
    }


def smooth(losses: Iterable[float], *, beta: float = BETA) -> Iterator[tuple[float, float]]:
    """Pair each loss with the exponential moving average so far, divided by its weight.

    The weight after n losses is `1 - beta ** n` (arXiv 1412.6980, section 3).
    """
    average = 0.0
    for n, loss in enumerate(losses, start=1):
        average = beta * average + (1 - beta) * loss
        yield loss, average / (1 - beta**n)


def fell(losses: np.ndarray, window: slice, *, steps: int) -> bool:
    """Tell whether the losses of the batches, smoothed, fall in a window by more than their noise.

    The noise of a loss is that of the differences from one to the next, over the root of 2, in the
    first third of the sweep; the window's first smoothed loss is the mean of all until there.
    """
    smoothed = np.array([average for _, average in smooth(losses.tolist())])[window]
    noise = float(np.diff(losses[: max(QUIET, steps // 3)]).std()) / 2**0.5
    error = noise / (1 + (window.start or 0)) ** 0.5
    fall = float(smoothed[0] - smoothed.min())
    return fall > max(SURE * error, LEAST_SHARE * abs(float(smoothed[0])), LEAST)


def _kept(smoothed: np.ndarray, steps: int) -> slice:
    first, last = steps // 10, len(smoothed) - 5
    quiet = smoothed[first : max(first + 1, steps // 3)]
    if len(quiet):
        risen = np.flatnonzero(smoothed[first:] > RISEN * quiet.max())
        last = min([last, *(first + risen[:1])])
    return slice(first, last) if last - first >= 2 else slice(None)


def steepest(rates: np.ndarray, losses: np.ndarray) -> float:
    """Find where the loss falls fastest per factor of the rate.

    r_i, i = argmin (l_i+1 - l_i) / (log r_i+1 - log r_i).
    """
    return float(rates[np.argmin(np.diff(losses) / np.diff(np.log(rates)))])


def tenth_of_minimum(rates: np.ndarray, losses: np.ndarray) -> float:
    """Return a tenth of the rate with the lowest loss: r_i / 10, i = argmin l_i."""
    return float(rates[np.argmin(losses)] / 10)


def valley(rates: np.ndarray, losses: np.ndarray) -> float:
    """Find the rate about half-way down the longest descent.

    That is the longest strictly decreasing subsequence, of n losses, the first to end if several
    are as long. It is taken to fill the n steps up to its end e; the suggestion is at e - n +
    floor(n / 3) + floor(n / 6).
    """
    length = np.ones(len(losses), int)  # of the longest one that ends here
    for i in range(len(losses)):
        length[i] += max(length[:i][losses[:i] > losses[i]], default=0)
    end = int(np.argmax(length))
    n = int(length[end])
    return float(rates[max(0, end - n + n // 3 + n // 6)])


def slide(rates: np.ndarray, losses: np.ndarray) -> float:
    """Slide an interval of 15 steps left from the end while the slopes at its ends differ.

    Slopes are central differences per step; the suggestion is the interval's left end, at the last
    place before they are within 0.005.
    """
    slopes, interval = np.gradient(losses), min(INTERVAL, len(losses) - 1)
    last = left = len(losses) - 1 - interval
    while left >= 0 and abs(slopes[left + interval] - slopes[left]) > LEVEL:
        last, left = left, left - 1
    return float(rates[last])
