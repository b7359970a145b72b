"""Scenes: background, clutter, and things in front of a critter. The image is one unit wide."""

import random

from tljax.data.critters.pen import Colour, Pen, tone

# fmt: off
PALETTE = ((92, 128, 62), (70, 98, 54), (128, 148, 84), (150, 188, 214), (196, 214, 224),
           (120, 150, 190), (176, 150, 120), (206, 188, 160), (134, 104, 78), (96, 74, 60),
           (178, 88, 74), (204, 156, 92), (92, 108, 128), (160, 160, 156), (70, 70, 76),
           (226, 220, 210), (148, 118, 150), (196, 160, 168))
# fmt: on


def hue(rng: random.Random) -> Colour:
    """Draw a colour of the palette, lighter or darker."""
    return tone(rng.choice(PALETTE), rng.uniform(0.6, 1.3))


def _rectangle(pen: Pen, x, y, w, h, colour: Colour, height: int = 0) -> None:
    pen.polygon([(x, y), (x + w, y), (x + w, y + h), (x, y + h)], colour, height)


def leaf(pen: Pen, colour: Colour, height: int = 0) -> None:
    """Draw a leaf from the origin, one unit up."""
    pen.blob([(0, 0), (0, 0), (-0.3, -0.4), (0, -1), (0, -1), (0.3, -0.4)], colour, height)


def indoors(pen: Pen, rng: random.Random, floor: float) -> None:
    """Draw a wall with windows and pictures, and furniture on a floor that begins at `floor`."""
    wall = hue(rng)
    _rectangle(pen, 0, 0, 1, 1, wall)
    for _ in range(rng.randrange(3)):  # windows and pictures
        x, y, w, h = (
            rng.uniform(-0.1, 0.9),
            rng.uniform(-0.1, 0.4),
            rng.uniform(0.12, 0.4),
            rng.uniform(0.15, 0.4),
        )
        _rectangle(pen, x, y, w, h, tone(wall, rng.choice((0.6, 1.4))))
        _rectangle(pen, x + 0.02, y + 0.02, w - 0.04, h - 0.04, hue(rng))
    _rectangle(pen, 0, floor, 1, 1, hue(rng))
    for _ in range(rng.randrange(3)):  # cushions, cupboards, chair legs
        x, w, h, colour = (
            rng.uniform(-0.2, 1),
            rng.uniform(0.1, 0.6),
            rng.uniform(0.1, 0.5),
            hue(rng),
        )
        pen.at(x, floor + rng.uniform(-0.1, 0.3)).blob(
            [(0, -h), (0, -h), (w, -h), (w, -h), (w, 0), (0, 0)], colour, 0
        )


def outdoors(pen: Pen, rng: random.Random, floor: float) -> None:
    """Draw a sky with clouds, hills and roofs, and ground with grass below `floor`."""
    sky = hue(rng)
    for k in range(4):
        _rectangle(pen, 0, floor * k / 4, 1, 1, tone(sky, 1 + 0.08 * k))
    for _ in range(rng.randrange(4)):  # clouds, hills, roofs
        x, y, r = rng.random(), rng.uniform(0, floor), rng.uniform(0.08, 0.3)
        if rng.random() < 0.5:
            pen.ellipse(x, y, r, r * 0.5, hue(rng), 0, fuzz=0.2, hair=rng.randrange(64))
        else:
            pen.polygon([(x - r, floor), (x, y), (x + r, floor)], hue(rng), 0)
    ground = hue(rng)
    _rectangle(pen, 0, floor, 1, 1, ground)
    for _ in range(rng.randrange(10)):
        blade = pen.at(
            rng.random(),
            rng.uniform(floor, 1.1),
            turn=rng.uniform(-0.4, 0.4),
            sx=0.12,
            sy=rng.uniform(0.1, 0.3),
        )
        leaf(blade, tone(ground, rng.uniform(0.7, 1.25)))


def foliage(pen: Pen, rng: random.Random, floor: float) -> None:
    """Draw leaves everywhere."""
    ground = hue(rng)
    _rectangle(pen, 0, 0, 1, 1, tone(ground, 0.6))
    for _ in range(rng.randrange(10, 24)):
        frame = pen.at(
            rng.random(), rng.random(), turn=rng.uniform(-3, 3), sx=rng.uniform(0.12, 0.4)
        )
        leaf(frame, tone(ground, rng.uniform(0.5, 1.3)))


def lights(pen: Pen, rng: random.Random, floor: float) -> None:
    """Draw a background far out of focus: discs of light."""
    dark = hue(rng)
    _rectangle(pen, 0, 0, 1, 1, dark)
    _rectangle(pen, 0, floor, 1, 1, tone(dark, 0.7))
    for _ in range(rng.randrange(5, 14)):
        r = rng.uniform(0.03, 0.16)
        pen.ellipse(rng.random(), rng.random(), r, r, tone(hue(rng), 1.2), 0)


def clutter(pen: Pen, rng: random.Random, amount: int) -> None:
    """Draw things unrelated to animals: balls, boxes, cones, flowers, pairs of discs."""
    for _ in range(amount):
        r, colour = rng.uniform(0.04, 0.14), hue(rng)
        thing = pen.at(rng.random(), rng.uniform(0.1, 1), turn=rng.uniform(-0.7, 0.7), sx=r)
        what = rng.randrange(5)
        if what == 0:
            thing.ellipse(0, 0, 1, 1, colour, 0)
            thing.ellipse(-0.2, -0.2, 0.6, 0.6, tone(colour, 1.15), 0)
        elif what == 1:
            _rectangle(thing, -1, -0.8, 2, 1.6, colour)
            _rectangle(thing, -1, -0.2, 2, 0.3, tone(colour, 0.7))
        elif what == 2:
            thing.polygon([(-0.8, 1), (0, -1.2), (0.8, 1)], colour, 0)
        elif what == 3:
            for k in range(5):
                leaf(thing.at(0, 0, turn=k * 1.257), colour)
            thing.ellipse(0, 0, 0.25, 0.25, hue(rng), 0)
        else:
            for s in (-0.6, 0.6):
                thing.ellipse(s, 0, 0.5, 0.5, colour, 0)
                thing.ellipse(s, 0, 0.22, 0.22, tone(colour, 0.3), 0)


def background(pen: Pen, rng: random.Random) -> None:
    """Draw one of the places, with clutter in it."""
    place = rng.choice((indoors, indoors, outdoors, outdoors, foliage, lights))
    place(pen, rng, rng.uniform(0.45, 0.85))
    clutter(pen, rng, rng.randrange(6))


def occlude(pen: Pen, rng: random.Random) -> None:
    """Draw leaves, a post or a wire in front of everything, in a third of the photographs."""
    what, colour = rng.randrange(9), hue(rng)
    if what == 0:
        for _ in range(rng.randrange(2, 6)):
            frame = pen.at(
                rng.random(),
                1.05,
                turn=rng.uniform(-0.5, 0.5),
                sx=rng.uniform(0.12, 0.3),
                sy=rng.uniform(0.3, 0.7),
            )
            leaf(frame, tone(colour, rng.uniform(0.7, 1.2)), 10)
    elif what == 1:
        x, w = rng.random(), rng.uniform(0.03, 0.12)
        pen.polygon([(x, 0), (x + w, 0), (x + w * 1.2, 1), (x - 0.05, 1)], colour, 10)
    elif what == 2:
        pen.stroke(
            [(0, rng.random()), (rng.random(), rng.random()), (1, rng.random())],
            colour,
            rng.uniform(0.01, 0.03),
            10,
        )
