"""Look at a weights file, or write it in another layout.

    tljax weights verify FILE [--image PICTURE] [--image-folder DIR]
    tljax weights convert FILE OUT --to LAYOUT [--preprocess caffe|half|torch|unit]

FILE is a path to Keras's, torch's or tljax's weights of a base, or one of the known names, which
are downloaded or come with an installed package. LAYOUT is safetensors, keras-h5 or torchvision.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from tljax.errors import InputError

LAYOUTS = ("safetensors", "keras-h5", "torchvision")
PREPROCESSES = ("caffe", "half", "torch", "unit")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Print one line, as for every other mistake of a user; the usage is in --help."""
        self.exit(2, f"error: {message}\n")


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return 0, or 2 for a user's mistake.

    The mistake is one line on standard error.
    """
    args = _parser().parse_args(arguments)
    try:
        if args.command == "verify":
            verify(args.file, args.image, args.image_folder)
        else:
            convert(
                args.file,
                args.out,
                to=args.to,
                preprocess=args.preprocess,
                overwrite=args.overwrite,
            )
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def verify(name: str, image: Path | None, folder: Path | None) -> None:
    """Print the table, the image's classes, and how the preprocessing suits a folder's photographs.

    InputError, after the table, for a file that is not a whole base.
    """
    from tljax.weights import formats, known
    from tljax.weights import verify as lib

    path = known.file_of(name)
    print(lib.table(path), flush=True)
    weights = formats.read(path)
    lib.check_whole(path, weights)  # our own format can hold anything
    if image is not None:
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
    from tljax.data.preprocess import BY_NAME
    from tljax.weights import known, safe
    from tljax.weights.keras import write as keras_write
    from tljax.weights.torch import safetensors as torch_safe
    from tljax.weights.verify import name_of

    if out.exists() and not overwrite:
        raise InputError(f"{out} exists; name another, or pass --overwrite")
    weights = known.load(name)
    if preprocess is not None:
        weights = replace(weights, preprocess=BY_NAME[preprocess])
    write = {
        "safetensors": safe.write,
        "keras-h5": keras_write.write,
        "torchvision": torch_safe.write,
    }[to]
    try:
        write(out, weights)
    except OSError as error:
        raise InputError(f"{out}: cannot be written: {error.strerror}") from None
    print(f"{out}: {to}, preprocessing {name_of(weights.preprocess)}")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="tljax weights",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    look = commands.add_parser("verify", help="what the file holds, layer by layer")
    look.add_argument("file", metavar="FILE")
    look.add_argument(
        "--image", type=Path, metavar="PICTURE", help="print its likeliest classes: needs a top"
    )
    suits = (
        "say whether the preprocessing suits the weights, by the features of some photographs in it"
    )
    look.add_argument("--image-folder", type=Path, metavar="DIR", help=suits)
    change = commands.add_parser("convert", help="the same weights in another layout")
    change.add_argument("file", metavar="FILE")
    change.add_argument("out", type=Path, metavar="OUT")
    change.add_argument("--to", choices=LAYOUTS, required=True, help="the layout of OUT")
    note = (
        "note that the weights need this preprocessing, "
        "where their layout says otherwise (the file's)"
    )
    change.add_argument("--preprocess", choices=PREPROCESSES, help=note)
    change.add_argument("--overwrite", action="store_true", help="replace OUT")
    return parser


if __name__ == "__main__":
    sys.exit(main())
