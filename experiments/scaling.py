"""Predict and count the bytes that a step sends among up to 64 simulated devices.

    python -m experiments.scaling --images 900

From shapes, without data: each rung's step is compiled for each number of devices with --batch
images on each, and the collectives in the compiled program are counted. The prediction is 4 bytes
for each parameter that trains, and 8 for the loss and the number correct. The table also shows what
becomes of the batch. Ends with status 1 where the two counts differ.
"""

import argparse
from dataclasses import replace

import jax

from tljax import config
from tljax.audit.abstract_step import planned
from tljax.audit.cost import audit
from tljax.commands import cli, running
from tljax.config import sizes
from tljax.machine import devices
from tljax.models.build import Network
from tljax.report.tables.scaling import Scale, scaling_table

MOST = 64


def main() -> None:
    """Run the command."""
    args = _parser().parse_args()
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", MOST)
    scales = [_counted(rung, count, args) for rung in args.rungs for count in _counts()]
    print(scaling_table(scales, images=args.images))
    if any(scale.counted != scale.predicted or scale.others for scale in scales):
        raise SystemExit(1)


def _parser() -> argparse.ArgumentParser:
    parser = cli.bare_parser(__doc__, experiment="scaling")
    add = parser.add_argument
    rungs = ("scratch", "frozen", "finetune", "differential")
    add(
        "--rungs",
        nargs="+",
        choices=config.STEPPED,
        default=rungs,
        help=f"which ({' '.join(rungs)})",
    )
    add("--batch", type=cli.positive, default=32, metavar="N", help="images on each device (32)")
    add("--size", type=cli.positive, default=150, metavar="PIXELS", help="side of the images (150)")
    add("--width", type=cli.fraction, default=1.0, metavar="W", help="of the VGG16 (1.0)")
    add(
        "--images",
        type=cli.positive,
        default=900,
        metavar="N",
        help="in the training set (900, the lecture's)",
    )
    return parser


def _counts() -> list[int]:
    return [2**power for power in range(MOST.bit_length())]


def _counted(rung: str, count: int, args: argparse.Namespace) -> Scale:
    network: Network = config.NETWORKS[rung].on("vgg16", {"width": args.width})
    if network.base == "cnn" and args.size < sizes.CNN_VALID:
        network = replace(network, options={"padding": "SAME"})
    stage = replace(config.PRESETS["deck-keras3"][rung], batch_size=args.batch * count, views=None)
    over = devices.mesh(jax.devices()[:count])
    costs = audit(planned(stage, network, classes=2, size=args.size), over)
    return Scale(
        rung=rung,
        devices=count,
        batch=stage.batch_size,
        counted=int(costs.reduced.found),
        predicted=int(costs.reduced.least),
        others=int(costs.exchanged.found),
        flops=costs.flops.found,
    )


if __name__ == "__main__":
    running.run(main)
