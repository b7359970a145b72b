"""A logistic regression on the saved features of a frozen, pretrained VGG16, solved in seconds: beside rung 2.

    python -m experiments.linear --data folder:PHOTOS --size 150 --weights vgg16-imagenet-keras-notop

Its strength is chosen by 5-fold cross-validation on the training photographs, at 13 strengths.
"""

from experiments import cli, runner

if __name__ == "__main__":
    cli.run(lambda: runner.main(__doc__, experiment="linear", rungs=("linear",)))
