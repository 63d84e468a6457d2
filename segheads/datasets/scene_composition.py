"""What stands where in a street scene, and the order in which it is drawn."""

from collections.abc import Callable, Sequence
from random import Random
from typing import NamedTuple

import numpy as np

from .scene_canvas import NEAREST, Canvas, Point, level
from .scene_drawing import (
    draw_building,
    draw_car,
    draw_ground,
    draw_lamp,
    draw_person,
    draw_sign,
    draw_skyline,
    draw_tree,
)

Draw = Callable[[Canvas, float, float, float], None]


class Placed(NamedTuple):
    """An object on its place; ``extent`` is a building's depth and another thing's height."""

    draw: Draw
    x: float
    z: float
    extent: float


def line_with_houses(canvas: Canvas, pavement: float) -> list[Placed]:
    """Houses with gaps and trees along either side of the street, or a park."""
    random = canvas.random
    objects = []
    for side in (-1, 1):
        z = random.uniform(1, 9)
        tree_share = 1.0 if random.random() < 0.35 else 0.2
        while z < 70:
            depth = random.uniform(6, 13)
            if random.random() < tree_share:
                x = side * (pavement + random.uniform(1.2, 5))
                objects.append(Placed(draw_tree, x, z + 3, random.uniform(4.5, 8)))
            else:
                objects.append(Placed(draw_building, side * (pavement + 0.3), z, depth))
            z += depth + random.choice((0, 0, 3))
    return objects


def furnish(canvas: Canvas, road: float, pavement: float) -> list[Placed]:
    """Traffic on the lanes, lamps, signs and trees at the kerb, walkers all over the street."""
    random = canvas.random
    objects = []

    def scatter(
        draw: Draw,
        count: int,
        aside: tuple[float, float],
        far: float,
        height: tuple[float, float],
    ) -> None:
        for _ in range(count):
            for _ in range(12):  # tries to find a spot that is in view and free
                x = random.choice((-1, 1)) * random.uniform(*aside)
                z = random.uniform(4.5, far)
                reach = 4.6 if draw is draw_car else 0.6
                is_free = all(abs(o.x - x) > 0.8 or abs(o.z - z) > reach for o in objects)
                if is_free and 0.05 < canvas.column(x, z) < 0.95:
                    objects.append(Placed(draw, x, z, random.uniform(*height)))
                    break

    lane, kerb = (road - 1.1, road - 1.1), (road + 0.45, road + 0.45)
    scatter(draw_car, random.randint(1, 4), lane, far=24, height=(1.4, 1.4))
    scatter(draw_sign, random.randint(1, 3), kerb, far=9.5, height=(2.1, 2.9))
    scatter(draw_lamp, random.randint(1, 2), kerb, far=9.5, height=(4.2, 5.5))
    scatter(draw_tree, random.randint(0, 2), kerb, far=16, height=(3.5, 5))
    walk, crossing = (road + 0.2, pavement - 0.2), (0, road)
    scatter(draw_person, random.randint(1, 3), walk, far=9.5, height=(1.6, 1.95))
    scatter(draw_person, random.randint(0, 2), crossing, far=9.5, height=(1.6, 1.95))
    return objects


def cast_shadows(canvas: Canvas, objects: Sequence[Placed], pavement: float) -> list[list[Point]]:
    """Outlines on the ground where objects keep the sun off."""
    sizes = {draw_tree: (1.6, 1.6), draw_car: (2, 4.2), draw_building: (0, None)}
    shadows = []
    for draw, x, z, extent in objects:
        width, depth = sizes.get(draw, (0.45, 0.4))
        height = 4.5 if draw is draw_building else extent
        tip = x - canvas.sun_side * 0.75 * height
        if draw is draw_building and abs(tip) > pavement:
            continue  # falls behind the house
        left, right = min(x - width / 2, tip), max(x + width / 2, tip)
        shadows.append(level(left, right, max(z, NEAREST), z + (depth or extent)))
    return shadows


def draw_scene(random: Random, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Draw one street.

    Args:
        random (Random): Source of everything that varies.
        size (tuple[int, int]): Height and width in pixels.

    Returns:
        tuple[np.ndarray, np.ndarray]: Image (H, W, 3), RGB, and class indices (H, W), both uint8.
    """
    canvas = Canvas(random, size)
    road = random.uniform(2.6, 3.8)
    pavement = road + random.uniform(1.6, 2.6)
    houses, furniture = line_with_houses(canvas, pavement), furnish(canvas, road, pavement)
    canvas.paint_sky()
    draw_skyline(canvas)
    draw_ground(canvas, road, pavement)
    canvas.paint()
    canvas.paint_shadows(cast_shadows(canvas, houses + furniture, pavement))
    for objects in (houses, furniture):  # what stands on the street hides what stands beside it
        for placed in sorted(objects, key=lambda placed: -placed.z):
            placed.draw(canvas, placed.x, placed.z, placed.extent)
    canvas.paint()
    canvas.develop()
    return canvas.image, canvas.labels
