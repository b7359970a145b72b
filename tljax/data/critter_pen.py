"""A pen for smooth shapes on a canvas of red, green, blue and height.

A shape's `height` decides its shading and says what grows there: 0 is background, 140 to 215 patterned fur,
above that plain fur (muzzle, chest) and what is wet or hard.
"""

import functools
import math

import numpy as np
from PIL import Image, ImageDraw

Colour = tuple[int, int, int]
BODY, LEG, EAR, HEAD, PLAIN, HARD = 150, 165, 180, 200, 228, 240
_ANGLES = np.linspace(0, 2 * np.pi, 24, endpoint=False)
_CIRCLE = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], 1)
_ROUGH = np.random.RandomState(7).uniform(0, 2, (64, 64, 1))  # the legacy stream is frozen by NumPy


def tone(colour: Colour, factor: float) -> Colour:
    """Darker below 1, nearer to white above."""
    r, g, b = colour
    if factor > 1:
        rest = 2 - factor
        return int(255 - (255 - r) * rest), int(255 - (255 - g) * rest), int(255 - (255 - b) * rest)
    return int(r * factor), int(g * factor), int(b * factor)


@functools.cache
def _spline(n: int) -> np.ndarray:
    """[5n, n]: closed quadratic B-spline through n control points; a point given twice is a corner."""
    t = np.arange(5)[:, None] / 5
    weights = np.concatenate([(1 - t) ** 2 / 2, 0.5 + t - t**2, t**2 / 2], 1)
    basis = np.zeros((5 * n, n))
    for i in range(n):
        basis[5 * i : 5 * i + 5, [i, (i + 1) % n, (i + 2) % n]] = weights
    return basis


@functools.cache
def _bezier(n: int) -> tuple[np.ndarray, np.ndarray]:
    """[9, n] each: points of a Bezier curve with n control points, and its tangents, not of unit length."""
    t = np.linspace(0, 1, 9)
    curve = np.stack([math.comb(n - 1, k) * t**k * (1 - t) ** (n - 1 - k) for k in range(n)], 1)
    return curve, np.gradient(curve, axis=0)


class Pen:
    """Draws shapes given in a frame of its own, [3, 2]: x and y axis and origin in pixels."""

    def __init__(self, canvas: Image.Image, frame: np.ndarray):
        self._draw, self.frame = ImageDraw.Draw(canvas), frame

    def at(self, x: float, y: float, *, turn: float = 0.0, sx: float = 1.0, sy: float | None = None) -> "Pen":
        """The frame scaled by `sx` and `sy` (the same unless given), turned clockwise, moved to (x, y)."""
        sy, c, s = sx if sy is None else sy, math.cos(turn), math.sin(turn)
        pen = object.__new__(Pen)
        pen._draw = self._draw
        pen.frame = np.array(((sx * c, sx * s, 0.0), (-sy * s, sy * c, 0.0), (x, y, 1.0))) @ self.frame
        return pen

    def polygon(self, points, colour: Colour, height: int) -> None:
        self._fill(np.array(points) @ self.frame[:2] + self.frame[2], colour, height)

    def blob(self, points, colour: Colour, height: int, *, fuzz: float = 0.0, hair: int = 0) -> None:
        """A closed smooth outline; `fuzz` roughens it by that fraction, `hair` picks how."""
        outline = _spline(len(points)) @ (np.array(points) @ self.frame[:2] + self.frame[2])
        if fuzz:
            middle = outline.mean(0)
            outline = middle + (outline - middle) * (1 - fuzz + fuzz * _ROUGH[hair % 64, : len(outline)])
        self._fill(outline, colour, height)

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
        circle = _CIRCLE * (1 - fuzz + fuzz * _ROUGH[hair % 64, :24]) if fuzz else _CIRCLE
        axes = np.array(((rx, 0.0, 0.0), (0.0, ry, 0.0), (x, y, 1.0))) @ self.frame
        self._fill(circle @ axes[:2] + axes[2], colour, height)

    def stroke(self, points, colour: Colour, width: float, height: int) -> None:
        """A Bezier curve `width` units thick; a hairline is never thinner than a pixel."""
        (curve, tangent), points = _bezier(len(points)), np.array(points) @ self.frame[:2] + self.frame[2]
        path = curve @ points
        (a, b), (c, d) = self.frame[:2].tolist()
        thick = width * math.sqrt(abs(a * d - b * c))
        if thick < 2.5:
            self._draw.line(path.ravel().tolist(), (*colour, height), max(1, round(thick)))
            return
        across = tangent @ points[:, ::-1] * (-1, 1)
        across *= thick / 2 / (np.sqrt((across * across).sum(1, keepdims=True)) + 1e-9)
        self._fill(np.concatenate([path + across, (path - across)[::-1]]), colour, height)

    def _fill(self, outline: np.ndarray, colour: Colour, height: int) -> None:
        self._draw.polygon(outline.ravel().tolist(), fill=(*colour, height))
