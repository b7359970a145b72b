"""Bodies: tails, paws and poses, and the whole animal."""

import random
from collections.abc import Callable

from tljax.data.critters.heads import head
from tljax.data.critters.kinds import Kind, pick
from tljax.data.critters.parts import Coat
from tljax.data.critters.pen import BODY, LEG, PLAIN, Colour, Pen, tone

POSES = {"sit": 4, "lie": 2, "stand": 2, "peek": 1.5, "portrait": 2}


def paws(pen: Pen, c: Coat, x: float, y: float, gap: float) -> None:
    """Draw two paws, `gap` to the left and to the right of (x, y)."""
    for s in (-1, 1):
        pen.ellipse(x + s * gap, y, 0.28, 0.19, c.light, PLAIN - 6)
        for k in (-1, 1):
            pen.stroke(
                [(x + s * gap + k * 0.09, y + 0.02), (x + s * gap + k * 0.1, y + 0.16)],
                tone(c.light, 0.6),
                0.035,
                PLAIN,
            )


def tail(pen: Pen, rng: random.Random, c: Coat, shape: str) -> None:
    """Draw a tail from the origin to the right and up."""
    bend, rise = rng.uniform(0.4, 1.1), rng.uniform(-1.6, 0.1)
    tip = bend * rng.uniform(0.6, 1.5), rise
    path = [(0, 0), (bend, 0.1), (bend * 1.2, rise * 0.6), tip]
    if shape == "bushy":
        for width, shade in ((0.55, 0.9), (0.3, 1.0)):
            pen.stroke(path, tone(c.fur, shade), width, BODY)
        pen.ellipse(*tip, 0.3, 0.3, c.light, BODY, fuzz=0.15, hair=c.hair)
    elif shape == "thin":
        pen.stroke(path, tone(c.fur, 0.88), 0.2, BODY)
    elif shape == "tuft":
        pen.stroke(path, tone(c.fur, 0.88), 0.13, BODY)
        pen.ellipse(*tip, 0.22, 0.26, tone(c.fur, 0.6), BODY, fuzz=0.15, hair=c.hair)
    elif shape == "stub":
        pen.ellipse(0.1, -0.1, 0.32, 0.3, tone(c.fur, 1.2), BODY, fuzz=0.12, hair=c.hair)


def body(pen: Pen, rng: random.Random, kind: Kind, c: Coat, pose: str) -> None:
    """Draw the body, before the head, which lies at the origin and casts a shadow on it."""
    fuzz = 0.08 if "wool" in kind.extras else 0.025
    shadow, limb = tone(c.fur, 0.7), tone(c.fur, 0.9)
    if pose == "sit":
        tail(pen.at(0.8, 2.7), rng, c, kind.tail)
        pen.ellipse(0, 1.75, rng.uniform(0.85, 1.05), 1.3, c.fur, BODY, fuzz=fuzz, hair=c.hair)
        for s in (-1, 1):
            pen.ellipse(s * 0.78, 2.5, 0.45, 0.52, limb, BODY + 8, fuzz=fuzz)
        pen.ellipse(0, 1.35, 0.5, 0.65, c.light, PLAIN - 8, fuzz=0.12, hair=c.hair)
        for s in (-1, 1):
            pen.stroke([(s * 0.33, 1.8), (s * 0.36, 2.9)], limb, 0.4, LEG)
        paws(pen, c, 0, 2.95, 0.37)
    elif pose in ("lie", "stand"):
        low = pose == "lie"
        back = rng.uniform(1.2, 1.6)
        tail(pen.at(back * 1.75, 0.9 if low else 0.5), rng, c, kind.tail)
        if not low:
            for x in (0.35, back * 1.45):
                pen.stroke([(x, 1), (x + 0.1, 2.15)], tone(c.fur, 0.72), 0.36, LEG)
        pen.ellipse(
            back * 0.8, 0.95 if low else 0.8, back, 0.78, c.fur, BODY, fuzz=fuzz, hair=c.hair
        )
        if low:
            pen.ellipse(back * 1.45, 1.15, 0.62, 0.58, limb, BODY + 10, fuzz=fuzz)
            paws(pen, c, -0.1, 1.5, 0.42)
        else:
            for x in (-0.05, back * 1.2):
                pen.stroke([(x, 1), (x, 2.2)], limb, 0.38, LEG)
            paws(pen, c, -0.05 + back * 0.62, 2.25, back * 0.62)
    elif pose == "portrait":
        pen.blob(
            [(-0.7, 0.3), (0.7, 0.3), (1.3, 1.6), (1.4, 4), (-1.4, 4), (-1.3, 1.6)],
            c.fur,
            BODY,
            fuzz=0.01,
        )
        pen.ellipse(0, 1.6, 0.6, 0.8, c.light, PLAIN - 8, fuzz=0.12, hair=c.hair)
    pen.ellipse(0, 0.62, 0.82, 0.55, shadow, BODY)


def peek(pen: Pen, rng: random.Random, c: Coat, plank: Colour) -> None:
    """Draw something in front of the animal, with its paws on the edge."""
    front = pen.of(0)
    front.blob([(-9, 1), (-9, 1), (9, 1), (9, 1), (9, 12), (9, 12), (-9, 12), (-9, 12)], plank, 20)
    front.stroke([(-9, 1.06), (9, 1.06)], tone(plank, 1.3), 0.12, 20)
    paws(pen, c, 0, 1.02, rng.uniform(0.45, 0.75))


def animal(
    pen: Pen, rng: random.Random, kind: Kind, c: Coat, plank: Colour
) -> tuple[str, Callable[[Pen, Coat], None]]:
    """Draw the whole animal, its head at the origin; return its pose and the shape of its ears."""
    pose = pick(rng, POSES)
    yaw, pitch = rng.triangular(-0.6, 0.6, 0), rng.uniform(-0.25, 0.25)
    lean = rng.uniform(-0.12, 0.12)
    if pose != "peek":
        body(pen.at(0, 0, turn=lean), rng, kind, c, pose)
    turned = pen.at(0, 0, turn=rng.triangular(-0.5, 0.5, 0))
    ears = head(turned, rng, kind, c, yaw=yaw, pitch=pitch)
    if pose == "peek":
        peek(pen.at(0, 0, turn=lean), rng, c, plank)
    return pose, ears
