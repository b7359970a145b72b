"""Train a base on a source task and save it as a weights file with its preprocessing.

    python -m experiments.pretrain --data critters:source --size 64 --width 0.25 --out base.safetensors

A VGG16 with batch normalisation in place of biases, folded into plain kernels and biases when it is saved: the file is
a VGG16 like any other.
"""

import argparse
import dataclasses
from pathlib import Path

import jax

from tljax import config, data
from tljax.data.preprocess import TORCH
from tljax.models import build, vgg
from tljax.train import inputs, loop
from tljax.weights import safe


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="critters:source")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--width", type=float, default=0.25)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--lr", type=float, default=0.05)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    sets = data.load(args.data, size=args.size)
    stage = dataclasses.replace(config.PRETRAIN, epochs=args.epochs, batch_size=args.batch, lr=config.WarmupCosine(args.lr))
    network = build.Network(width=args.width, norm=True, hidden=0)
    module = build.classifier(network, classes=len(sets.classes))
    variables = build.init(module, key=jax.random.key(args.seed), size=args.size)

    def save(record, state):
        base = vgg.fold_norm(state.params["base"], state.model_state["batch_stats"]["base"])
        provenance = {"data": sets.name, "digest": sets.digest, "size": args.size, "record": record}
        architecture = {"name": "vgg16", "width": args.width}
        safe.write(args.out, safe.Weights(base, architecture, TORCH, sets.classes, provenance))
        print(record, flush=True)

    read = inputs.from_images(sets, augment=stage.augment, preprocess=TORCH)
    loop.train_stage(stage, module=module, variables=variables, inputs=read, seed=args.seed, on_epoch=save)


if __name__ == "__main__":
    main()
