"""Write a trained classifier as a file that other programs run, without tljax.

    tljax export --run runs/ladder --to onnx --out ants.onnx

The input is photographs uint8 [N, size, size, 3], RGB; the output is their probabilities. The
preprocessing is inside. Of a run on texts the input is tokens int32 [N, size], made as the
tokenizer.json beside the file says. Classes in their order, and the size, are in a JSON file beside
it. Without --rung and --seed the classifier is the run's best in validation.

stablehlo  any base; jax.export.deserialize(bytes).call(photographs or tokens), on CPU, GPU or TPU
keras      VGG16; keras.models.load_model(FILE)
onnx       any base; ONNX Runtime and others, by the package jax2onnx
"""

import argparse
from pathlib import Path

from tljax.commands import cli
from tljax.errors import InputError
from tljax.runs.export import SUFFIXES, export
from tljax.runs.predict import load_run


def main() -> None:
    """Run the command."""
    args = _parsed()
    trained = load_run(args.run, rung=args.rung, seed=args.seed)
    out: Path = args.out or args.run / f"{trained.rung}-seed{trained.seed}{SUFFIXES[args.to]}"
    if out.exists() and not args.overwrite:
        raise InputError(f"{out} exists; name another --out, or pass --overwrite")
    for path in export(trained, out, to=args.to):
        print(path)


def _parsed() -> argparse.Namespace:
    parser = cli.bare_parser(__doc__, experiment="export")
    cli.run_options(parser)
    add = parser.add_argument
    add("--to", choices=SUFFIXES, default="stablehlo", help="the kind of file (stablehlo)")
    add("--out", type=cli.path, metavar="FILE", help="the file (RUN/RUNG-seedN.KIND)")
    add("--overwrite", action="store_true", help="replace FILE")
    cli.own_base_option(parser)
    return parser.parse_args()
