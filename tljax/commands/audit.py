"""Compare what a stage's compiled step costs and trains with the least that it could.

    tljax audit --rung finetune --size 150 --batch 4
    tljax audit --plan full --width 0.25 --size 48

From shapes and random numbers: no data, no weights. Views are left out: the step runs from
photographs. Ends with status 1 where a step moves what its rules freeze, or leaves unchanged what
they train.
"""

from dataclasses import replace

from tljax import config
from tljax.audit import segment
from tljax.audit.abstract_step import planned
from tljax.audit.cost import audit
from tljax.commands import cli
from tljax.commands.recipe import PLANS, plan_of
from tljax.config import sizes
from tljax.machine import devices
from tljax.models.build import Network
from tljax.report.tables.audit import audit_table


def main() -> None:
    """Run the command."""
    parser = cli.bare_parser(__doc__, experiment="audit")
    subject = parser.add_mutually_exclusive_group(required=True)
    subject.add_argument("--rung", choices=config.STEPPED, help="a rung of the ladder")
    subject.add_argument("--plan", choices=PLANS, help="the stages of a recipe")
    parser.add_argument(
        "--preset",
        choices=sorted(config.PRESETS),
        default="tuned",
        help="the rung's rates and lengths (tuned)",
    )
    parser.add_argument(
        "--size", type=cli.positive, default=150, metavar="PIXELS", help="side of the images (150)"
    )
    parser.add_argument(
        "--batch", type=cli.positive, default=4, metavar="N", help="images in a step (4)"
    )
    parser.add_argument(
        "--width",
        type=cli.fraction,
        metavar="W",
        help="times the channels of a base that has this option (1.0)",
    )
    cli.base_option(parser)
    args = parser.parse_args()
    base = args.base or "vgg16"
    network = (config.NETWORKS[args.rung] if args.rung else Network()).on(
        base, {"width": args.width} if args.width else {}
    )
    if network.base == "cnn" and args.size < sizes.CNN_VALID:
        network = replace(network, options={"padding": "SAME"})
    stages = (
        [config.stage_on(args.rung, config.PRESETS[args.preset][args.rung], base)]
        if args.rung
        else plan_of(args.plan, base).stages
    )
    over, sound = devices.mesh_for(args.batch), True
    for stage in stages:
        dry = planned(
            replace(stage, batch_size=args.batch, views=None), network, classes=2, size=args.size
        )
        costs, same = audit(dry, over), dry.keeps_bits(over)
        whole = segment.launches(dry.stage, network, classes=2, size=args.size)
        print(audit_table(costs, same_bits=same, launches=whole) + "\n", flush=True)
        sound = sound and same and not costs.moved and not costs.idle
    if not sound:
        raise SystemExit(1)
