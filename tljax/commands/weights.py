"""Look at weights, or write them in another layout.

    tljax weights verify FILE [--image PICTURE] [--classes NAMES] [--image-folder DIR]
    tljax weights convert FILE OUT [--to LAYOUT] [--preprocess NAME]

FILE is a path to Keras's, torch's or tljax's weights of a base; one of the known names, which are
downloaded or come with an installed package; or the folder of a run, whose base it is: RUN, or
RUN:RUNG:SEED for another than the best in validation. LAYOUT is safetensors (tljax's own, of any
base), keras-h5 or torchvision (of a VGG16).
"""

import argparse
from dataclasses import replace
from pathlib import Path

from tljax.commands import cli
from tljax.data.preprocess import BY_NAME
from tljax.errors import InputError
from tljax.files.home import at_home
from tljax.runs.base import load_base, of_run
from tljax.weights import formats, known, safe
from tljax.weights import verify as lib
from tljax.weights.class_names import read_class_names
from tljax.weights.keras import write as keras_write
from tljax.weights.torch import safetensors as torch_safe

LAYOUTS = {
    "safetensors": safe.write,
    "keras-h5": keras_write.write,
    "torchvision": torch_safe.write,
}


def main() -> None:
    """Run the command."""
    args = _parser().parse_args()
    if args.command == "verify":
        verify(args.file, args.image, args.image_folder, classes=args.classes)
    else:
        convert(
            args.file, args.out, to=args.to, preprocess=args.preprocess, overwrite=args.overwrite
        )


def verify(
    name: str, image: Path | None, folder: Path | None, *, classes: Path | None = None
) -> None:
    """Print the table, the image's classes, and how the preprocessing suits a folder's photographs.

    `classes` is a file with the names of the classes, where the weights have none. InputError,
    after the table, for a file that is not a whole base.
    """
    weights = of_run(name)
    if weights is None:
        path = known.file_of(name if name.startswith("hf:") else at_home(name))
        print(lib.table(path), flush=True)
        weights = formats.read(path)
        lib.check_whole(path, weights)  # our own format can hold anything
    else:
        print(lib.table_of(weights), flush=True)
    if image is not None:
        if classes is not None:
            weights = replace(weights, classes=read_class_names(classes))
        print(f"\n{image}")
        for line in lib.top_classes(weights, image):
            print(line)
    for line in lib.suits(weights, folder):
        print(line)


def convert(name: str, out: Path, *, to: str, preprocess: str | None, overwrite: bool) -> None:
    """Write the weights in another layout.

    The parameters stay the same, and so does the preprocessing noted for them unless `preprocess`
    names another.
    """
    if out.exists() and not overwrite:
        raise InputError(f"{out} exists; name another, or pass --overwrite")
    weights = load_base(name)
    if preprocess is not None:
        weights = replace(weights, preprocess=BY_NAME[preprocess])
    try:
        LAYOUTS[to](out, weights)
    except OSError as error:
        raise InputError(f"{out}: cannot be written: {error.strerror}") from None
    about, whose = weights.provenance, ""
    if about.get("run"):  # a rung that trained its head alone has the base that it began with
        whose = f"the base of {about['rung']}, seed {about['seed']}, of {name.partition(':')[0]}; "
    print(f"{out}: {whose}{to}, preprocessing {lib.name_of(weights.preprocess)}")


def _parser() -> argparse.ArgumentParser:
    parser = cli.bare_parser(__doc__, experiment="weights")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    look = commands.add_parser("verify", help="what the file holds, layer by layer")
    look.add_argument("file", metavar="FILE", help="a file, a known name, or a run's folder")
    image = "print its likeliest classes; only for weights with their top"
    look.add_argument("--image", type=cli.path, metavar="PICTURE", help=image)
    names = (
        "their names, for weights that have numbers alone: a name a line, or Keras's "
        "imagenet_class_index.json"
    )
    look.add_argument("--classes", type=cli.path, metavar="NAMES", help=names)
    suits = (
        "say whether the preprocessing suits the weights, by the features of some photographs in it"
    )
    look.add_argument("--image-folder", type=cli.path, metavar="DIR", help=suits)
    change = commands.add_parser("convert", help="the same weights in another layout")
    change.add_argument("file", metavar="FILE", help="a file, a known name, or a run's folder")
    change.add_argument("out", type=cli.path, metavar="OUT", help="the file to write")
    layouts = "the layout of OUT: tljax's own, or Keras's or torchvision's of a VGG16 (safetensors)"
    change.add_argument("--to", choices=LAYOUTS, default="safetensors", help=layouts)
    note = "note that the weights need this preprocessing (the one that FILE notes)"
    change.add_argument("--preprocess", choices=BY_NAME, help=note)
    change.add_argument("--overwrite", action="store_true", help="replace OUT")
    return parser
