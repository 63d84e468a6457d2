"""What street scenes are drawn on: a pinhole camera, the light of the day, and a painter's canvas.

World coordinates are (x, y, z): metres to the right of the street's axis, above the ground, and
away from the camera. Colours are RGB.
"""

import math
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import chain
from random import Random
from typing import NamedTuple

import cv2
import numpy as np

CLASSES = ('sky', 'ground', 'building', 'tree', 'vehicle', 'person', 'pole', 'sign')
SKY, GROUND, BUILDING, TREE, VEHICLE, PERSON, POLE, SIGN = range(len(CLASSES))

Color = tuple[float, float, float]
Point = tuple[float, float, float]
Outline = Sequence[tuple[float, float]]

NEAREST = 1.2  # metres; what stands closer to the camera is cut off there
HAZE_DISTANCE = 110  # metres over which 63 % of an object's colour is lost to the air
SUBPIXEL_BITS = 4


class Light(NamedTuple):
    """A time of day: colours of the sky and of the light, strength of shadows from 0 to 1."""

    zenith: Color
    horizon: Color
    tint: Color
    shadow: float
    lamps_lit: bool = False


LIGHTS = (
    Light(zenith=(84, 148, 212), horizon=(200, 225, 238), tint=(1.03, 1.01, 0.97), shadow=0.42),
    Light(zenith=(122, 170, 210), horizon=(246, 228, 206), tint=(1.04, 1.0, 0.94), shadow=0.34),
    Light(zenith=(104, 140, 190), horizon=(252, 212, 164), tint=(1.08, 0.99, 0.87), shadow=0.40),
    Light(zenith=(160, 174, 188), horizon=(214, 220, 224), tint=(0.95, 0.97, 1.0), shadow=0.14),
    Light((70, 82, 140), (244, 172, 138), (0.88, 0.78, 0.84), shadow=0.16, lamps_lit=True),
)


class Canvas:
    """An image and its label map, seen by one camera under one light.

    Polygons are collected, then painted in the order in which they came: projecting all of them
    at once is what makes drawing fast.

    Args:
        random (Random): Source of everything that varies.
        size (tuple[int, int]): Height and width in pixels.
    """

    def __init__(self, random: Random, size: tuple[int, int]) -> None:
        self.random = random
        self.height, self.width = size
        self.image = np.zeros((*size, 3), np.uint8)
        self.labels = np.full(size, SKY, np.uint8)
        self.light = random.choice(LIGHTS)
        self.sun_side = random.choice((-1, 1))
        self.focal = 0.95 * self.height
        self.eye = (random.uniform(-1, 1), random.uniform(1.6, 2.6))
        self.vanishing = (
            self.width * random.uniform(0.36, 0.64),
            self.height * random.uniform(0.44, 0.54),
        )
        self._points: list[Point] = []
        self._polygons: list[tuple[int, Color, int | None]] = []

    def pick(self, colors: Sequence[Color]) -> Color:
        """One of the colours, slightly varied."""
        return tuple(c + self.random.gauss(0, 7) for c in self.random.choice(colors))

    def column(self, x: float, z: float) -> float:
        """Where (x, z) is seen across the image: 0 at its left border, 1 at its right one."""
        return (self.vanishing[0] + self.focal * (x - self.eye[0]) / z) / self.width

    def project(self, points: np.ndarray) -> np.ndarray:
        """Project world points (N, 3) to pixels (N, 2), x before y."""
        return self.vanishing + self.focal * (points[:, :2] - self.eye) * (1, -1) / points[:, 2:]

    def fill(self, polygon: Iterable[Point], color: Color, label: int | None = None) -> None:
        """Add a convex polygon; without a label it is a detail of what it is painted on."""
        self._points.extend(polygon)
        self._polygons.append((len(self._points), color, label))

    def paint(self) -> None:
        """Paint what was added since the last call."""
        ends, colors, labels = zip(*self._polygons, strict=True)
        starts = (0, *ends[:-1])
        coordinates = chain.from_iterable(self._points)
        points = np.fromiter(coordinates, np.float64, 3 * len(self._points)).reshape(-1, 3)
        depth = np.add.reduceat(points[:, 2], starts) / np.diff((0, *ends))
        haze = 1 - np.exp(-depth / HAZE_DISTANCE)[:, None]
        colors = ((1 - haze) * colors + haze * self.light.horizon).tolist()

        pixels = self.project(points)
        inside = (np.maximum.reduceat(pixels, starts) > -1).all(1)
        inside &= (np.minimum.reduceat(pixels, starts) < (self.width, self.height)).all(1)
        # Far outside the image is near enough, and keeps OpenCV's fixed-point numbers in range.
        pixels = pixels.clip(-8 * self.width, 8 * self.width) * 2**SUBPIXEL_BITS
        pixels = np.rint(pixels).astype(np.int32)
        for i in np.flatnonzero(inside).tolist():
            polygon = pixels[starts[i] : ends[i]]
            cv2.fillConvexPoly(self.image, polygon, colors[i], cv2.LINE_AA, SUBPIXEL_BITS)
            if labels[i] is not None:
                cv2.fillConvexPoly(self.labels, polygon, labels[i], cv2.LINE_8, SUBPIXEL_BITS)
        self._points.clear()
        self._polygons.clear()

    def paint_sky(self) -> None:
        """Gradient, glow of the sun, clouds: drawn small and enlarged, since all of it is soft."""
        random, light = self.random, self.light
        height, width = 36, 48
        horizon = height * self.vanishing[1] / self.height
        rows, columns = np.mgrid[:height, :width].astype(np.float32)
        low = (rows / horizon).clip(0, 1)[..., None] ** 1.4
        sky = (1 - low) * np.float32(light.zenith) + low * np.float32(light.horizon)
        sun = (width * (0.5 + 0.3 * self.sun_side), horizon * random.uniform(0.5, 0.9))
        glow = np.exp(-((columns - sun[0]) ** 2 + (rows - sun[1]) ** 2) / 100)
        sky += (0.9 * light.shadow * glow)[..., None] * (255 - sky)

        clouds = np.zeros((height, width), np.float32)
        for _ in range(random.randint(2, 5)):
            x, y = random.uniform(0, width), random.uniform(0, 0.8 * horizon)
            length = random.uniform(2, 7)
            for _ in range(5):
                center = (round(random.gauss(x, length)), round(random.gauss(y, 1)))
                cv2.ellipse(clouds, center, (round(length / 2), 1), 0, 0, 360, 0.8, -1)
        clouds = cv2.GaussianBlur(clouds, (5, 5), 0)[..., None]
        white = np.float32((255, 250, 246)) * np.float32(light.tint)
        sky += clouds * (0.35 * np.float32(light.horizon) + 0.65 * white - sky)
        sky = sky.clip(0, 255).astype(np.uint8)
        self.image[:] = cv2.resize(sky, (self.width, self.height), interpolation=cv2.INTER_CUBIC)

    def paint_shadows(self, shadows: Sequence[Sequence[Point]]) -> None:
        """Darken the ground under polygons on it, with soft borders."""
        mask = np.zeros_like(self.labels)
        for shadow in shadows:
            corners = self.project(np.array(shadow)).clip(-8 * self.width, 8 * self.width)
            cv2.fillConvexPoly(mask, np.rint(corners).astype(np.int32), 255)
        mask = cv2.GaussianBlur(mask, (0, 0), 0.008 * self.height)
        mask[self.labels != GROUND] = 0
        darkness = cv2.convertScaleAbs(mask, alpha=self.light.shadow)
        self.image = cv2.multiply(self.image, cv2.merge([~darkness] * 3), scale=1 / 255)

    def develop(self) -> None:
        """Add the grain of the materials, the colour of the light, exposure, and sensor noise."""
        random = self.random
        grain, noise = noise_fields(self.height, self.width)
        top, left = random.randrange(self.height), random.randrange(self.width)
        window = slice(top, top + self.height), slice(left, left + self.width)
        roughness = np.zeros((1, 256), np.float32)
        roughness[0, [GROUND, BUILDING, TREE]] = 0.022, 0.022, 0.11
        gain = 1 + cv2.LUT(self.labels, roughness) * grain[window]
        exposure = random.uniform(0.88, 1.12)
        cast = [exposure * tint * random.gauss(1, 0.025) for tint in self.light.tint]
        gain = cv2.merge([gain * np.float32(c) for c in cast])
        image = cv2.multiply(self.image, gain, dtype=cv2.CV_32F)
        self.image = cv2.scaleAdd(noise[window], random.uniform(1, 4), image)
        self.image = self.image.clip(0, 255).astype(np.uint8)


@lru_cache(maxsize=2)
def noise_fields(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Grain (2H, 2W) and sensor noise (2H, 2W, 3), of which every image takes a random window."""
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((2 * height, 2 * width, 3), np.float32)
    blotches = rng.standard_normal((128, 128 * width // height), np.float32)
    grain = cv2.resize(blotches, (2 * width, 2 * height), interpolation=cv2.INTER_LINEAR)
    return grain + 0.6 * noise[::-1, :, 0], noise


def shade(color: Color, factor: float) -> Color:
    """Make a colour lighter or darker."""
    return tuple(min(255, c * factor) for c in color)


def upright(x: float, z: float, outline: Outline) -> list[Point]:
    """Polygon that faces the camera at (x, z), from its outline of (right, up) in metres."""
    return [(x + right, up, z) for right, up in outline]


def along(x: float, low: float, high: float, near: float, far: float) -> list[Point]:
    """Upright rectangle along the street, such as a wall."""
    return [(x, low, near), (x, high, near), (x, high, far), (x, low, far)]


def level(left: float, right: float, near: float, far: float, up: float = 0) -> list[Point]:
    """Level rectangle, such as a piece of the ground."""
    return [(left, up, near), (right, up, near), (right, up, far), (left, up, far)]


def bar(right: float, low: float, high: float, width: float) -> Outline:
    """Outline of an upright bar around ``right``."""
    half = width / 2
    return [(right - half, low), (right + half, low), (right + half, high), (right - half, high)]


def disc(right: float, up: float, radius: float, corners: int = 14) -> Outline:
    """Outline of a disc, or of a regular polygon that stands on a corner."""
    return [(right + radius * x, up + radius * y) for x, y in unit_circle(corners)]


@lru_cache
def unit_circle(corners: int) -> Outline:
    """Evenly spaced points, the first one at the bottom."""
    turns = (2 * math.pi * i / corners for i in range(corners))
    return [(math.sin(turn), -math.cos(turn)) for turn in turns]


def moved(outline: Outline, right: float, up: float, scale: float = 1) -> Outline:
    """Outline scaled about its origin, then moved."""
    return [(right + scale * x, up + scale * y) for x, y in outline]


def shrunk(polygon: Sequence[Point]) -> list[Point]:
    """Polygon a little smaller about its middle, such as the pane in its frame."""
    return (0.84 * np.array(polygon) + 0.16 * np.mean(polygon, 0)).tolist()
