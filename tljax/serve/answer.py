"""What the page is told of a photograph: its likeliest classes, and where the network looked."""

# pyright: strict

import base64
import io
import threading
from typing import TypedDict

import numpy as np
from PIL import Image

from tljax.data import photos
from tljax.inside import attribution
from tljax.report.inside import maps
from tljax.report.inside.sheets import cam_layer
from tljax.train.outcome.trained import Trained

SHOWN = 10  # classes
SIDE = 320  # pixels of a picture on the page


class Likely(TypedDict):
    """One class of an answer."""

    name: str
    probability: float


class Answer(TypedDict):
    """All that the page shows; pictures are data URLs."""

    classes: list[Likely]
    others: int  # classes that are not listed
    photograph: str
    overlay: str
    layer: str


class Answers:
    """Answer photographs one after another, in whatever threads they come."""

    def __init__(self, trained: Trained):
        """Compile both programs: the first photograph is answered as fast as the others."""
        self.trained = trained
        self._layer, self._lock = cam_layer(trained.net), threading.Lock()
        self._of_pixels(np.zeros((*photos.sides(trained.size), 3), np.uint8))

    def answer(self, data: bytes) -> Answer:
        """Answer a photograph's file; InputError where it is none."""
        with photos.pillow_warnings():
            pixels = photos.decode(data, size=self.trained.size, name="the photograph")
        return self._of_pixels(pixels)

    def _of_pixels(self, pixels: np.ndarray) -> Answer:
        with self._lock:
            prediction = self.trained.predict(pixels)
            best = prediction.probabilities.argmax(axis=1)
            cam = attribution.hires_cam(self.trained.net, pixels[None], best, layer=self._layer)[0]
        likely = prediction.ranked(SHOWN)[0]
        return {
            "classes": [{"name": name, "probability": p} for name, p in likely],
            "others": len(self.trained.classes) - len(likely),
            "photograph": _url(pixels),
            "overlay": _url(maps.overlay(pixels, cam)),
            "layer": self._layer,
        }


def _url(pixels: np.ndarray) -> str:
    picture, content = Image.fromarray(pixels).resize((SIDE, SIDE)), io.BytesIO()
    picture.save(content, "PNG")
    return "data:image/png;base64," + base64.b64encode(content.getvalue()).decode()
