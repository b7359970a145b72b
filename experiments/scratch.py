"""A small convolutional network from scratch, with augmentation and dropout: rung 1.

    tljax scratch --seeds 5

58.8 % of critters (56.9 to 60.8 % over 5 seeds); half a minute a seed on one core.

    tljax scratch --data folder:PHOTOS --size 150 --budget 5

77.8 % of the lecture's photographs (one seed); 53 minutes.
"""

from experiments import ladder
from tljax.commands import runner, running

RUNGS = {"scratch": ladder.RUNGS["scratch"]}

if __name__ == "__main__":
    running.run(lambda: runner.main(__doc__, experiment="scratch", rungs=RUNGS))
