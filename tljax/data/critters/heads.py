"""Heads: the tendencies of a kind of animal become one face, turned a little to one side."""

import random
from collections.abc import Callable

from tljax.data.critters import ears, parts
from tljax.data.critters.kinds import Kind, pick
from tljax.data.critters.parts import Coat
from tljax.data.critters.pen import BODY, HARD, HEAD, PARTS, PLAIN, Pen, tone


def head(
    pen: Pen, rng: random.Random, kind: Kind, c: Coat, *, yaw: float, pitch: float
) -> Callable[[Pen, Coat], None]:
    """Draw a head, and return the shape of its ears.

    `yaw` and `pitch`, about -0.5 to 0.5, shift its features by their depth.
    """
    has = {name for name, often in kind.extras.items() if rng.random() < often}
    w, h = kind.head[0] * rng.uniform(0.94, 1.06), kind.head[1] * rng.uniform(0.94, 1.06)
    shape = pick(rng, kind.ears)
    size, angle, droop = (
        rng.uniform(*kind.ear_size),
        rng.uniform(*kind.ear_angle),
        rng.uniform(-0.2, 0.2),
    )
    pen = pen.of(PARTS.index("head"))
    behind = pen.at(-yaw * 0.25, -pitch * 0.2)

    def draw_ears() -> None:
        pair = behind.of(PARTS.index("ears"))
        ears.pair(pair, c, shape, size=size, angle=angle, width=w, height=h, droop=droop)

    if "mane" in has:
        mane = tone(c.fur, 0.62)
        behind.ellipse(0, 0.08, 1.62, 1.6, tone(mane, 0.85), BODY, fuzz=0.12, hair=c.hair)
        behind.ellipse(0, 0.05, 1.4, 1.36, mane, BODY + 15, fuzz=0.14, hair=c.hair + 9)
    if "horns" in has:
        for s in (-1, 1):
            behind.stroke(
                [(s * 0.3, -0.75), (s * 0.75, -1.0), (s * 0.8, -1.4)], (222, 208, 176), 0.17, HARD
            )
    if shape not in ears.HANGING:
        draw_ears()
    if "wool" in has:
        for x, y, r in (
            (-0.85, -0.3, 0.4),
            (0.85, -0.3, 0.4),
            (-0.6, -0.75, 0.45),
            (0.6, -0.75, 0.45),
            (0, -0.95, 0.5),
        ):
            behind.ellipse(x * w, y * h, r, r, tone(c.fur, 1.3), BODY, fuzz=0.07, hair=c.hair)
    skull(pen, kind, c, w, h)
    face(pen.at(yaw * 0.32, pitch * 0.3), rng, kind, c, has, yaw)
    if "wool" in has:
        for x in (-0.42, 0, 0.42):
            pen.ellipse(
                x,
                -0.78 * h - (x == 0) * 0.08,
                0.34,
                0.3,
                tone(c.fur, 1.4),
                BODY + 20,
                fuzz=0.07,
                hair=c.hair,
            )
    if shape in ears.HANGING:
        draw_ears()
    return shape


def skull(pen: Pen, kind: Kind, c: Coat, w: float, h: float) -> None:
    """Draw the outline of a head of half width `w` and half height `h`."""
    right = [
        (0.62 * w, -h),
        (1.1 * w, -0.35 * h),
        (kind.cheek * w * 1.1, 0.35 * h),
        (kind.jaw * w, 0.98 * h),
    ]
    outline = [*right, *[(-x, y) for x, y in reversed(right)]]
    pen.blob(outline, c.fur, HEAD, fuzz=0.025, hair=c.hair)


def face(pen: Pen, rng: random.Random, kind: Kind, c: Coat, has: set[str], yaw: float) -> None:
    """Draw markings, eyes, muzzle and whiskers; `has` are the extras of this animal."""
    gap, size = kind.eye_gap, rng.uniform(*kind.eye_size)
    if "cheeks" in has:
        for s in (-1, 1):
            pen.blob(
                [
                    (s * 0.1, 0.1),
                    (s * 0.85, 0.2),
                    (s * 0.8, 0.5),
                    (s * 0.3, 0.85),
                    (0, 0.8),
                    (0, 0.4),
                ],
                c.light,
                PLAIN,
                fuzz=0.06,
            )
    if "mask" in has:
        for s in (-1, 1):
            pen.ellipse(s * gap * 0.95, -0.12, 0.44, 0.48, c.light, PLAIN)
        pen.ellipse(0, 0.45, 0.62, 0.5, c.light, PLAIN)
    if "disc" in has:
        for s in (-1, 1):
            pen.ellipse(
                s * gap, -0.05, 0.56, 0.58, tone(c.light, 0.85), PLAIN - 10, fuzz=0.08, hair=c.hair
            )
            pen.ellipse(s * gap, -0.05, 0.48, 0.5, c.light, PLAIN, fuzz=0.08, hair=c.hair)
    if "patches" in has:
        for s in (-1, 1):
            pen.at(s * gap * 1.05, -0.02, turn=s * -0.6).ellipse(
                0, 0, 0.3, 0.4, tone(c.fur, 0.28), PLAIN, fuzz=0.05
            )
    if "blaze" in has:
        pen.blob([(-0.1, -0.85), (0.1, -0.85), (0.2, 0.3), (-0.2, 0.3)], c.light, PLAIN)
    pupil, lid = pick(rng, kind.pupil), rng.choice((0, 0, 0, 0, 0, 0.12, 0.3, 1))
    gaze = rng.uniform(-0.25, 0.25), rng.uniform(-0.2, 0.2)
    colour = rng.choice((c.light, c.light, tone(c.fur, 1.12)))
    length, width = rng.uniform(*kind.muzzle), kind.muzzle_width * rng.uniform(0.9, 1.1)
    if kind.muzzle_shape == "beak":
        tip = pen.at(yaw * 0.3, 0.12)
        parts.beak(tip, c)
    else:
        tip = parts.muzzle(
            pen, c, length=length, width=width, yaw=yaw, colour=colour, shape=kind.muzzle_shape
        )
        parts.mouth(tip, c, tongue=rng.random() < kind.tongue, teeth=rng.random() < kind.teeth)
        parts.nose(tip, c, pick(rng, kind.nose))
    for s in (-1, 1):
        turned = 1 - max(0.0, s * yaw) * 0.5  # the far eye is foreshortened
        parts.eye(
            pen.at(s * gap * turned, -0.14, sx=turned, sy=1),
            c,
            size=size,
            pupil=pupil,
            slant=s * kind.slant,
            gaze=gaze,
            lid=lid,
        )
    if rng.random() < kind.whiskers:
        parts.whiskers(tip, rng, tone(c.light, 1.7) if sum(c.fur) < 560 else tone(c.fur, 0.5))
