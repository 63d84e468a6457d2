"""The things of a street scene, one function for each kind."""

from itertools import pairwise

import numpy as np

from .scene_canvas import (
    BUILDING,
    GROUND,
    NEAREST,
    PERSON,
    POLE,
    SIGN,
    TREE,
    VEHICLE,
    Canvas,
    Color,
    along,
    bar,
    disc,
    level,
    moved,
    shade,
    shrunk,
    upright,
)

# fmt: off
FACADES = (
    (178, 98, 78), (206, 160, 118), (228, 208, 172), (190, 186, 178), (146, 164, 172),
    (208, 176, 160), (160, 120, 100), (176, 188, 160), (224, 196, 120), (132, 136, 148),
)
PAINTS = (
    (190, 52, 46), (44, 84, 148), (226, 226, 222), (52, 56, 62), (150, 156, 162),
    (218, 170, 62), (60, 112, 96), (128, 58, 72), (116, 160, 190), (206, 116, 60),
)
CLOTHES = (
    (196, 62, 54), (52, 76, 128), (232, 190, 90), (74, 78, 84), (226, 222, 212),
    (92, 136, 116), (150, 86, 122), (222, 130, 92), (46, 60, 72), (120, 150, 186),
)
# fmt: on
LEAVES = ((72, 112, 58), (92, 128, 60), (58, 98, 66), (116, 134, 64), (186, 132, 58), (170, 92, 54))
ROOFS = ((148, 84, 66), (104, 92, 90), (120, 104, 86), (88, 96, 108))
GRASS = ((124, 146, 82), (140, 150, 96))
PAVING = ((186, 178, 168), (170, 166, 164), (190, 172, 156))
ASPHALT = ((98, 98, 104), (112, 108, 108), (84, 86, 94))
METALS = ((84, 92, 94), (116, 116, 116), (70, 84, 80), (150, 154, 156))
SKINS = ((238, 200, 172), (214, 164, 128), (162, 112, 82), (104, 72, 56))
HAIR = ((60, 44, 36), (34, 30, 30), (120, 84, 50), (150, 146, 140))
GLASS, BRIGHT_GLASS, LAMPLIGHT = (58, 74, 92), (104, 126, 148), (255, 214, 130)
WHITE, RED, BLUE, YELLOW = (244, 242, 236), (206, 36, 40), (32, 92, 176), (246, 196, 40)
ROAD_PAINT, RUBBER, TRUNK, WOODS = (222, 220, 208), (38, 38, 42), (92, 74, 60), (70, 102, 78)

RING, SQUARE = disc(0, 0, 0.5), bar(0, -0.45, 0.45, 0.9)
TRIANGLE = [(-0.56, -0.42), (0.56, -0.42), (0, 0.56)]
BOARDS = (  # each a stack of (outline, colour), the board itself first
    ((RING, RED), (moved(RING, 0, 0, 0.7), WHITE)),
    ((disc(0, 0, 0.52, corners=8), RED), (bar(0, -0.1, 0.1, 0.62), WHITE)),
    ((TRIANGLE, RED), (moved(TRIANGLE, 0, 0, 0.62), WHITE)),
    ((RING, BLUE), (bar(0, -0.3, 0.3, 0.18), WHITE)),
    ((SQUARE, BLUE), (moved(TRIANGLE, 0, 0, 0.6), WHITE)),
    ((disc(0, 0, 0.6, corners=4), WHITE), (disc(0, 0, 0.5, corners=4), YELLOW)),
)


def draw_skyline(canvas: Canvas) -> None:
    """Distant woods and houses, which hide where the street ends."""
    random = canvas.random
    for x in range(-130, 131, 10):
        hill = disc(random.gauss(0, 3), 0, random.uniform(9, 15), corners=10)
        canvas.fill(upright(x, 130, hill), WOODS, TREE)
    for _ in range(random.randint(4, 11)):
        block = bar(random.uniform(-70, 70), 0, random.uniform(8, 30), random.uniform(8, 18))
        canvas.fill(upright(0, 100, block), canvas.pick(FACADES), BUILDING)


def draw_ground(canvas: Canvas, road: float, pavement: float) -> None:
    """Grass, pavements, and a road with its markings; half widths in metres."""
    random = canvas.random
    grass, paving, asphalt = canvas.pick(GRASS), canvas.pick(PAVING), canvas.pick(ASPHALT)
    strips = ((400, grass), (pavement, paving), (road + 0.2, shade(paving, 1.12)), (road, asphalt))
    for half, color in strips:
        for near, far in pairwise((NEAREST, 7, 16, 32, 60, 120, 400)):  # each paler in the haze
            near *= 0.97  # over the antialiased border of the one before, else a seam shows
            canvas.fill(level(-half, half, near, far), color, GROUND)
    for z in np.arange(3, 13, 1.2):
        for side in (-1, 1):
            joint = level(side * (road + 0.2), side * pavement, z, z + 0.08)
            canvas.fill(joint, shade(paving, 0.9))
    for z in np.arange(random.uniform(1.5, 4), 35, 3.6):
        canvas.fill(level(-0.07, 0.07, z, z + 1.6), ROAD_PAINT)
    if random.random() < 0.5:
        near = random.uniform(4, 10)
        for x in np.arange(0.3 - road, road - 0.4, 0.9):
            canvas.fill(level(x, x + 0.5, near, near + 2.2), ROAD_PAINT)


def draw_building(canvas: Canvas, x: float, z: float, depth: float) -> None:
    """A town house or a gabled cottage, whose wall towards the street stands at ``x``."""
    random = canvas.random
    outer = x + (9 if x > 0 else -9)
    is_cottage = random.random() < 0.35
    height = random.uniform(3.2, 5) if is_cottage else random.uniform(7, 15)
    near, far = max(z, NEAREST), z + depth
    color = canvas.pick(FACADES)
    wall = shade(color, 0.8 if x * canvas.sun_side > 0 else 1.06)

    if is_cottage:
        ridge, top, roof = (x + outer) / 2, height + 2.6, canvas.pick(ROOFS)
        slope = [(x, height, near), (ridge, top, near), (ridge, top, far), (x, height, far)]
        canvas.fill(slope, roof, BUILDING)
        gable = [(x, height, near), (ridge, top, near), (outer, height, near)]
        canvas.fill(gable, shade(color, 0.92), BUILDING)
    front = [(x, 0, near), (x, height, near), (outer, height, near), (outer, 0, near)]
    canvas.fill(front, shade(color, 0.92), BUILDING)
    canvas.fill(along(x, 0, height, near, far), wall, BUILDING)
    canvas.fill(along(x, 0, 0.5, near, far), shade(wall, 0.72))
    canvas.fill(along(x, height - 0.4, height, near, far), shade(wall, 1.18))
    if z > 35:
        return  # windows would be smaller than pixels

    lit = LAMPLIGHT if canvas.light.lamps_lit else BRIGHT_GLASS
    bays = np.arange(near + 0.7, far - 1.4, 2.3).tolist()
    for low in np.arange(1.0 if is_cottage else 4.2, height - 1.6, 2.9).tolist():
        canvas.fill(along(x, low - 0.2, low, near + 0.4, far - 0.4), shade(wall, 1.18))
        for bay in bays:
            pane = lit if random.random() < 0.4 else GLASS
            canvas.fill(along(x, low, low + 1.7, bay, bay + 1.2), pane)
    if not is_cottage:
        shop = lit if random.random() < 0.5 else GLASS
        for bay in bays:
            canvas.fill(along(x, 0.5, 2.6, bay, bay + 1.8), shop)
        canvas.fill(along(x, 2.7, 3.3, near, far), canvas.pick(PAINTS))


def draw_tree(canvas: Canvas, x: float, z: float, height: float) -> None:
    """A trunk, and a crown of lumps lit from above and from the side of the sun, or a conifer."""
    random = canvas.random
    leaves = canvas.pick(LEAVES)
    canvas.fill(upright(x, z, bar(0, 0, 0.6 * height, 0.07 * height)), TRUNK, TREE)
    if random.random() < 0.25:
        for low in (0.2, 0.42, 0.64):
            half = 0.3 * (1.15 - low)
            tier = moved([(-half, low), (half, low), (0, low + 0.38)], 0, 0, height)
            canvas.fill(upright(x, z, tier), shade(leaves, 0.75 + 0.4 * low), TREE)
        return
    count = 8 if z < 20 else 4
    lumps = [(random.uniform(-0.19, 0.19), random.uniform(0.55, 0.86)) for _ in range(count)]
    for brightness, shift, radius in ((0.72, 0, 0.16), (0.98, 0.045, 0.12), (1.22, 0.085, 0.06)):
        color = shade(leaves, brightness)
        for right, up in lumps:
            center = (x + height * (right + shift * canvas.sun_side), height * (up + shift))
            canvas.fill(upright(0, z, disc(*center, height * radius, corners=10)), color, TREE)


def draw_car(canvas: Canvas, x: float, z: float, _height: float) -> None:
    """A car or a van along the street: from behind on the right lane, from ahead on the left."""
    paint = canvas.pick(PAINTS)
    if canvas.random.random() < 0.25:
        far, waist, roof, inset, front, back = z + 5.2, 1.15, 2.3, 0.05, z + 0.1, z + 4.0
    else:
        far, waist, roof, inset, front, back = z + 4.1, 0.85, 1.45, 0.16, z + 0.35, z + 2.8
    side = 1 if x < canvas.eye[0] else -1  # of the flank that the camera sees
    flank, flank_top = x + 0.9 * side, x + (0.9 - inset) * side
    flank_paint = shade(paint, 1.0 if side == canvas.sun_side else 0.78)

    canvas.fill(along(flank, 0.28, waist, z, far), flank_paint, VEHICLE)
    cabin = [(flank, waist, z), (flank_top, roof, front), (flank_top, roof, back)]
    cabin.append((flank, waist, far - 0.7))
    canvas.fill(cabin, flank_paint, VEHICLE)
    top = level(x - 0.9 + inset, x + 0.9 - inset, front, back, roof)
    canvas.fill(top, shade(paint, 1.15), VEHICLE)
    canvas.fill(shrunk(cabin), GLASS)
    for axle in (z + 0.75, far - 0.8):
        wheel = disc(axle, 0.32, 0.32, corners=12)
        canvas.fill([(flank, up, ahead) for ahead, up in wheel], RUBBER, VEHICLE)

    screen = [(x - 0.9, waist, z), (x + 0.9, waist, z)]
    screen += [(x + 0.9 - inset, roof, front), (x - 0.9 + inset, roof, front)]
    lights = RED if x > 0 else LAMPLIGHT
    canvas.fill(upright(x, z, bar(0, 0.28, waist, 1.8)), shade(paint, 0.92), VEHICLE)
    canvas.fill(screen, shade(paint, 0.96), VEHICLE)
    canvas.fill(shrunk(screen), shade(GLASS, 1.25))
    canvas.fill(upright(x, z, bar(0, 0.2, 0.42, 1.8)), shade(RUBBER, 1.3), VEHICLE)
    canvas.fill(upright(x, z, bar(0, 0.48, 0.6, 0.5)), WHITE)
    for right in (-0.68, 0.68):
        canvas.fill(upright(x, z, bar(right, 0, 0.25, 0.24)), RUBBER, VEHICLE)
        canvas.fill(upright(x, z, bar(right, 0.58, 0.76, 0.3)), lights)


def draw_person(canvas: Canvas, x: float, z: float, height: float) -> None:
    """A walker: legs, arms, coat, head, hair."""
    random = canvas.random
    coat, trousers, skin = canvas.pick(CLOTHES), canvas.pick(CLOTHES), canvas.pick(SKINS)
    stride, hem = random.uniform(0.02, 0.1), random.uniform(0.3, 0.48)
    parts = []
    for side in (-1, 1):
        hip, foot, hand = side * 0.06, side * stride, side * (0.16 + stride / 3)
        leg = [(foot - 0.05, 0), (foot + 0.05, 0), (hip + 0.06, 0.52), (hip - 0.06, 0.52)]
        arm = [(hand - 0.035, 0.45), (hand + 0.035, 0.45), (side * 0.14, 0.8), (side * 0.07, 0.8)]
        parts += [
            (leg, shade(trousers, 0.87 + 0.08 * side)),
            (bar(foot, 0, 0.04, 0.13), RUBBER),
            (disc(hand, 0.44, 0.035, corners=8), skin),
            (arm, shade(coat, 0.78)),
        ]
    hips, waist, arms, shoulders = (0.12, hem), (0.11, 0.62), (0.14, 0.79), (0.08, 0.84)
    right_half = (hips, waist, arms, shoulders)
    torso = [*right_half, *((-right, up) for right, up in reversed(right_half))]
    parts += [
        (torso, coat),
        (disc(0, 0.93, 0.075), canvas.pick(HAIR)),
        (disc(0.01 * canvas.sun_side, 0.905, 0.062), skin),
    ]
    for outline, color in parts:
        canvas.fill(upright(x, z, moved(outline, 0, 0, height)), color, PERSON)


def draw_pole(canvas: Canvas, x: float, z: float, height: float, width: float) -> Color:
    """A pole, darker on the side away from the sun; returns the colour of its metal."""
    metal = canvas.pick(METALS)
    canvas.fill(upright(x, z, bar(0, 0, height, width)), metal, POLE)
    dark_side = bar(-0.25 * width * canvas.sun_side, 0, height, 0.4 * width)
    canvas.fill(upright(x, z, dark_side), shade(metal, 0.76))
    return metal


def draw_lamp(canvas: Canvas, x: float, z: float, height: float) -> None:
    """A street lamp whose arm reaches over the road."""
    metal = draw_pole(canvas, x, z, height, width=0.26)
    reach = -1.5 if x > 0 else 1.5
    canvas.fill(upright(x, z, bar(0, 0, 0.8, 0.4)), metal, POLE)
    canvas.fill(upright(x, z, bar(reach / 2, height, height + 0.2, 1.7)), metal, POLE)
    canvas.fill(upright(x, z, bar(reach, height - 0.1, height + 0.25, 0.7)), metal, POLE)
    light = LAMPLIGHT if canvas.light.lamps_lit else WHITE
    canvas.fill(upright(x, z, bar(reach, height - 0.22, height - 0.06, 0.56)), light, POLE)


def draw_sign(canvas: Canvas, x: float, z: float, height: float) -> None:
    """A traffic sign on its pole."""
    draw_pole(canvas, x, z, height, width=0.22)
    stack = canvas.random.choice(BOARDS)
    board = moved(stack[0][0], 0, height, 1.1)
    canvas.fill(upright(x, z, board), shade(WHITE, 0.8), SIGN)
    for outline, color in stack:
        canvas.fill(upright(x, z, moved(outline, 0, height)), color, SIGN)
