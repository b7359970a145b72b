"""Show a trained classifier as a web page on this machine: drop a photograph, see what it says.

    tljax serve --run runs/ladder

Classes with their probabilities, and a map of where the network looked. The page is at 127.0.0.1,
for this machine alone; photographs are not kept. Ctrl-C ends it.
"""

from tljax.commands import cli
from tljax.runs.predict import load_run
from tljax.serve.answer import Answers
from tljax.serve.server import Server
from tljax.train.outcome.trained import refuse_other


def main() -> None:
    """Run the command."""
    parser = cli.bare_parser(__doc__, experiment="serve")
    cli.run_options(parser)
    parser.add_argument("--port", type=int, default=8765, metavar="N", help="0 for any (8765)")
    cli.own_base_option(parser)
    args = parser.parse_args()
    trained = load_run(args.run, rung=args.rung, seed=args.seed)
    refuse_other(trained, "serve")
    with Server(Answers(trained), port=args.port) as server:
        print(f"{server.url} (Ctrl-C ends it)", flush=True)
        server.serve_forever()
