"""A pen for smooth shapes on a canvas of red, green, blue and height.

A shape's `height` decides its shading and what grows there: 0 is background, 140 to 215 patterned
fur, above that plain fur (muzzle, chest) and what is wet or hard.
"""

import functools
import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

Colour = tuple[int, int, int]
Frame = tuple[complex, complex, complex]
Points = Sequence[tuple[float, float]]
PARTS = ("background", "body", "head", "ears")  # what a mask tells apart
BODY, LEG, EAR, HEAD, PLAIN, HARD = 150, 165, 180, 200, 228, 240
_ANGLES = np.linspace(0, 2 * np.pi, 24, endpoint=False)
_CIRCLE = np.stack([np.cos(_ANGLES), np.sin(_ANGLES), np.ones(24)], 1).astype(complex)
_ROUGH = np.random.RandomState(7).uniform(0, 2, (64, 64, 1))  # NumPy keeps the legacy stream frozen


def tone(colour: Colour, factor: float) -> Colour:
    """Darken a colour (factor below 1) or move it towards white (above 1)."""
    r, g, b = colour
    if factor > 1:
        rest = 2 - factor
        return int(255 - (255 - r) * rest), int(255 - (255 - g) * rest), int(255 - (255 - b) * rest)
    return int(r * factor), int(g * factor), int(b * factor)


@functools.cache
def _circle(fuzz: float, hair: int) -> np.ndarray:
    """Return a roughened circle as multiples of its two radii and its middle: [24, 3]."""
    return _CIRCLE * np.where([True, True, False], 1 - fuzz + fuzz * _ROUGH[hair, :24], 1)


@functools.cache
def _spline(n: int, fuzz: float, hair: int) -> np.ndarray:
    """Return the basis of a closed quadratic B-spline through n control points: [5n, n].

    A control point that is listed twice is a corner.
    """
    t = np.arange(5)[:, None] / 5
    weights = np.concatenate([(1 - t) ** 2 / 2, 0.5 + t - t**2, t**2 / 2], 1)
    basis = np.zeros((5 * n, n), complex)
    for i in range(n):
        basis[5 * i : 5 * i + 5, [i, (i + 1) % n, (i + 2) % n]] = weights
    middle = basis.mean(0)
    return middle + (basis - middle) * (1 - fuzz + fuzz * _ROUGH[hair, : 5 * n])


@functools.cache
def _bezier(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the bases of a Bezier curve with n control points and of its tangents: [9, n] each.

    The tangents are not of unit length.
    """
    t = np.linspace(0, 1, 9)
    curve = np.stack([math.comb(n - 1, k) * t**k * (1 - t) ** (n - 1 - k) for k in range(n)], 1)
    return curve.astype(complex), np.gradient(curve, axis=0).astype(complex)


class Pen:
    """A pen for shapes in a frame of its own: x axis, y axis and origin, in pixels.

    A pixel (x, y) is the complex number x + yj: a frame is then three Python numbers and a shape
    one product of small matrices, two to four times as fast as pairs in arrays.
    """

    def __init__(self, canvas: Image.Image, frame: Frame, parts: Image.Image | None = None):
        self._draw, self.frame = ImageDraw.Draw(canvas), frame
        # A canvas of its own takes the number of the part that each shape belongs to.
        self._parts, self._part = None if parts is None else ImageDraw.Draw(parts), 0

    def of(self, part: int) -> "Pen":
        """Return a pen in the same frame for another part; part 0 is the background."""
        pen = self.at(0, 0)
        pen._part = part
        return pen

    def at(
        self, x: float, y: float, *, turn: float = 0.0, sx: float = 1.0, sy: float | None = None
    ) -> "Pen":
        """Return a pen whose frame is scaled, turned clockwise and moved to (x, y).

        The scales are `sx` and `sy`, by default the same.
        """
        sy, c, s = sx if sy is None else sy, math.cos(turn), math.sin(turn)
        right, down, origin = self.frame
        pen = object.__new__(Pen)
        pen._draw, pen._parts, pen._part = self._draw, self._parts, self._part
        pen.frame = (
            sx * (c * right + s * down),
            sy * (c * down - s * right),
            x * right + y * down + origin,
        )
        return pen

    def polygon(self, points: Points, colour: Colour, height: int) -> None:
        """Fill a closed outline with straight sides."""
        self._fill(np.array(self._pixels(points)), colour, height)

    def blob(
        self, points: Points, colour: Colour, height: int, *, fuzz: float = 0.0, hair: int = 0
    ) -> None:
        """Fill a closed smooth outline; `fuzz` roughens it by that fraction, `hair` selects how."""
        self._fill(_spline(len(points), fuzz, hair % 64) @ self._pixels(points), colour, height)

    def ellipse(
        self,
        x: float,
        y: float,
        rx: float,
        ry: float,
        colour: Colour,
        height: int,
        *,
        fuzz: float = 0.0,
        hair: int = 0,
    ) -> None:
        """Fill an ellipse about (x, y) with radii `rx` and `ry`, roughened like a blob."""
        right, down, origin = self.frame
        axes = rx * right, ry * down, x * right + y * down + origin
        self._fill(_circle(fuzz, hair % 64) @ axes, colour, height)

    def stroke(self, points: Points, colour: Colour, width: float, height: int) -> None:
        """Draw a Bezier curve `width` units thick, and never thinner than a pixel."""
        (curve, tangent), pixels = _bezier(len(points)), self._pixels(points)
        right, down, _ = self.frame
        path, thick = curve @ pixels, width * math.sqrt(abs((right.conjugate() * down).imag))
        if thick < 2.5:
            places, pixels_thick = path.view(float).tolist(), max(1, round(thick))
            self._draw.line(places, (*colour, height), pixels_thick)
            if self._parts is not None:
                self._parts.line(places, self._part, pixels_thick)
            return
        across = tangent @ pixels
        across *= thick * 0.5j / (abs(across) + 1e-9)
        self._fill(np.concatenate([path + across, (path - across)[::-1]]), colour, height)

    def _pixels(self, points: Points) -> list[complex]:
        right, down, origin = self.frame
        return [x * right + y * down + origin for x, y in points]

    def _fill(self, outline: np.ndarray, colour: Colour, height: int) -> None:
        places = outline.view(float).tolist()
        self._draw.polygon(places, fill=(*colour, height))
        if self._parts is not None:
            self._parts.polygon(places, fill=self._part)
