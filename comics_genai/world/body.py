"""Draw everything below the chin: legs, garments with patterns and marking, arms, and what hangs behind the figure."""

import numpy as np

from .color import HSV, darker, lighter
from .factors import Character, Pose, Scene
from .ink import INK, Pen, closed, curve, ellipse, limb, rotation
from .parts import number_of
from .skeleton import LEAN, direction

CREAM: HSV = (42.0, 0.05, 1.0)
MARKING_SIZE = 1.3  # 11 px wide in a picture of 128 px, so that it can be read
Points = dict[str, np.ndarray]


def draw_back(pen: Pen, scene: Scene, points: Points) -> None:
    """Shadow on the ground, then cape, wings or tail."""
    character, pose = scene.character, scene.pose
    x, wide = points["pelvis"][0], 15.0 if pose.legs == "jumping" else 23.0
    ground = {"paper": (40, 0.05, 0.86), "night": (258, 0.3, 0.44)}.get(scene.setting.background, (250, 0.12, 0.66))
    pen.part = 0
    pen.fill(ellipse((x, 0.4), wide, 2.6, 28), tuple(float(c) for c in ground))
    pen.part = number_of("behind")
    {"cape": _cape, "wings": _wings, "tail": _tail}.get(character.accessory, _nothing)(pen, character, pose, points)


def _nothing(pen: Pen, character: Character, pose: Pose, points: Points) -> None:
    """Accessories that are not behind the figure."""


def _cape(pen: Pen, character: Character, pose: Pose, points: Points) -> None:
    blow = -direction(pose) * (LEAN.get(pose.legs, 1.0) * 1.1)
    neck = points["neck"]
    low = max(4.0, points["pelvis"][1] - 19)
    left, right = (-21 + blow, low + 1), (21 + blow, low + 2)
    hem = [(-10 + blow, low - 1.5), (blow, low + 2), (10 + blow, low - 1.5)]
    path = [(-8, neck[1]), (-15 + 0.4 * blow, neck[1] - 14), left, *hem, right, (15 + 0.4 * blow, neck[1] - 14)]
    pen.shape(closed([*path, (8, neck[1])]) + (points["pelvis"][0], 0), character.accent_color, 3.0)
    for side in (-1, 1):
        fold = [(side * 7 + 0.3 * blow, neck[1] - 22), (side * 12 + 0.8 * blow, low + 5)]
        pen.stroke(np.array(fold), 0.8)


def _wings(pen: Pen, character: Character, pose: Pose, points: Points) -> None:
    root = points["neck"] + (0, -9)
    for side in (-1, 1):
        upper = closed([(3, 0), (13, 15), (30, 19), (33, 9), (24, 0), (12, -3)]) * (side, 1) + root
        lower = closed([(3, -2), (14, -4), (25, -7), (24, -17), (14, -15)]) * (side, 1) + root
        pen.shape(lower, lighter(character.accent_color, 0.15), 2.0)
        pen.shape(upper, character.accent_color, 2.4)
        pen.stroke(root + np.array([(8, 3), (18, 10), (28, 12)]) * (side, 1), 0.7)


def _tail(pen: Pen, character: Character, pose: Pose, points: Points) -> None:
    side = -direction(pose)
    base = points["pelvis"]
    spine = np.array([(2, 1), (13, 8), (23, 6), (29, -6), (36, -9)]) * (side, 1) + base
    pen.shape(limb(spine, (2.5, 5.5, 6.5, 5.0, 0.6)), character.accent_color, 2.2)
    for offset in (-1.6, 1.6):
        pen.stroke(spine[1:] + (0, offset), 0.6, taper=True)


def draw_body(pen: Pen, scene: Scene, points: Points) -> None:
    """Legs, garment, marking, and the arms that are not raised above the shoulders."""
    character, pose = scene.character, scene.pose
    rear = "left" if direction(pose) > 0 else "right"
    pen.part = number_of("legs")
    for side in (rear, "right" if rear == "left" else "left"):
        _leg(pen, character, pose, points, side)
    pen.part = number_of("outfit")
    pen.shape(limb([points["neck"] + (0, -4), points["neck"] + (0, 4)], (4.2, 4.0)), darker(character.skin, 0.12), 0)
    _garment(pen, scene, points)
    pen.part = number_of("arms")
    for side in ("left", "right"):
        if getattr(pose, f"{side}_arm") != "raised":
            _arm(pen, character, pose, points, side)
    pen.part = number_of("outfit")
    if character.accessory == "scarf":
        _scarf(pen, character, pose, points)


def draw_front_arms(pen: Pen, scene: Scene, points: Points) -> None:
    """Raised arms, before the hair."""
    pen.part = number_of("arms")
    for side in ("left", "right"):
        if getattr(scene.pose, f"{side}_arm") == "raised":
            _arm(pen, scene.character, scene.pose, points, side)


def contrast(color: HSV) -> HSV:
    """A tone that stands out on any `color`, so that patterns never vanish."""
    _, saturation, value = color
    luminous = value * (1 - 0.35 * saturation)
    return darker(color, 0.42) if luminous > 0.6 else lighter(color, 0.72)


def trousers_color(character: Character) -> HSV | None:
    """The colour of trouser legs, None for bare legs."""
    return {"overalls": character.outfit_color, "trousers": character.accent_color}.get(character.outfit)


def top_color(character: Character) -> HSV:
    """The colour of the sleeves and chest."""
    worn_over = character.outfit in ("skirt", "overalls")
    return character.accent_color if worn_over else character.outfit_color


def _leg(pen: Pen, character: Character, pose: Pose, points: Points, side: str) -> None:
    hip, knee, foot = (points[f"{side}_{name}"] for name in ("hip", "knee", "foot"))
    trousers = trousers_color(character)
    skin = character.skin
    if trousers:
        pen.shape(limb([hip, knee, foot], (6.2, 5.4, 5.2)), trousers, 2.0)
        _leg_pattern(pen, character, hip, knee, foot, trousers)
    else:
        pen.shape(limb([hip, knee, foot], (5.0, 4.2, 3.5)), skin, 1.5)
    if character.odd_sock == side:
        top, bottom = knee + 0.12 * (foot - knee), knee + 0.66 * (foot - knee)
        wide = 5.6 if trousers else 4.5
        pen.shape(limb([top, bottom], (wide, wide - 0.4)), CREAM, 1.2)
        along = (bottom - top) / np.linalg.norm(bottom - top)
        across = np.array([along[1], -along[0]])
        for t in (0.28, 0.72):
            center = top + t * (bottom - top)
            band = [
                center + a * across * (wide - 0.5) + b * along * 1.15 for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))
            ]
            pen.fill(np.array(band), (355.0, 0.75, 0.85))
    _shoe(pen, character, pose, knee, foot, side)


def _leg_pattern(pen: Pen, character: Character, hip, knee, foot, color: HSV) -> None:
    tone = contrast(color)
    center = curve([hip, knee, foot], 6)
    tangent = np.gradient(center, axis=0)
    across = np.stack([tangent[:, 1], -tangent[:, 0]], 1) / np.linalg.norm(tangent, axis=1, keepdims=True)
    if character.pattern == "dots":
        for i, offset in ((3, -2), (5, 2), (7, -1.5)):
            pen.fill(ellipse(center[i] + across[i] * offset, 1.7, 1.7, 12), tone)
    elif character.pattern in ("stripes", "hem"):
        for i, j in {"stripes": ((2, 3), (4, 5), (6, 7)), "hem": ((7, 9),)}[character.pattern]:
            corners = [center[i] + across[i] * 4.9, center[i] - across[i] * 4.9]
            pen.fill(np.array([*corners, center[j] - across[j] * 4.9, center[j] + across[j] * 4.9]), tone)


def _shoe(pen: Pen, character: Character, pose: Pose, knee, foot, side: str) -> None:
    toes = direction(pose) if pose.facing != "front" else (-1 if side == "left" else 1)
    shin = foot - knee
    tilt = np.rad2deg(np.arctan2(shin[0], -shin[1]))
    if pose.legs == "sitting":
        tilt *= 0.25
        toes = -1 if side == "left" else 1
    sole = closed([(-4.6, -3.0), (-4.4, 1.5), (0.5, 3.4), (5.2, 1.6), (8.0, -0.6), (7.4, -3.2), (1.5, -3.3)])
    turn = rotation(tilt)
    pen.shape(limb([foot - 0.34 * shin, foot], (4.7, 4.3)), character.shoes_color, 1.2)
    pen.shape(sole * (toes, 1) @ turn + foot, character.shoes_color, 1.5)
    cuff = np.array([(-4.4, 0), (4.4, 0)]) @ turn + foot - 0.34 * shin
    pen.stroke(cuff, 0.9, taper=False)
    pen.stroke(np.array([(-4.2, -2.2), (1.5, -2.3), (7.2, -2.0)]) * (toes, 1) @ turn + foot, 0.6)


def _garment(pen: Pen, scene: Scene, points: Points) -> None:
    character, pose = scene.character, scene.pose
    pelvis, neck = points["pelvis"], points["neck"]
    lean = np.rad2deg(np.arctan2(neck[0] - pelvis[0], neck[1] - pelvis[1]))
    turn = rotation(-lean)
    swing = -direction(pose) * LEAN.get(pose.legs, 0.0) * 0.3

    def at(local) -> np.ndarray:
        return np.asarray(local, float) @ turn + pelvis

    shoulders = [(-4, 24.2), (-9.3, 21.5), (-8.2, 15), (-7.2, 9)]
    torso = closed([*shoulders, (-8, 0), (-6, -3), (6, -3), (8, 0), *[(-x, y) for x, y in shoulders[::-1]]])
    pen.shape(at(torso), top_color(character), 2.0)
    drop = 3.0 if pose.legs == "sitting" else 0.0
    if character.outfit == "overalls":
        for side in (-1, 1):
            strap = np.array([(5.9, 15), (7.4, 23), (4.9, 23.4), (3.6, 15)]) * (side, 1)
            pen.shape(at(strap), character.outfit_color, 0)
        pen.shape(at(closed([(-6.8, 16.5), (-7.9, 6), (-8.2, -2.5), (8.2, -2.5), (7.9, 6), (6.8, 16.5)], 4)),
                  character.outfit_color, 1.6)  # fmt: skip
        for side in (-1, 1):
            pen.fill(at(ellipse((side * 5.3, 15), 1.0, 1.0, 10)), (48.0, 0.6, 0.98))
    elif character.outfit in ("dress", "skirt"):
        _skirt(pen, character, at, swing, drop)
    elif character.outfit == "coat":
        _coat(pen, character, at, swing, drop)
    else:
        _trousers_top(pen, character, at)
    _collar(pen, character, at)
    _marking(pen, character, at)


def _belt(pen: Pen, at, color: HSV) -> None:
    band = [(-7.6, 7.6), (-7.3, 11.4), (0, 10.7), (7.3, 11.4), (7.6, 7.6), (0, 6.9)]
    pen.shape(at(closed(band, 4)), color, 0.8, 0.8)


def _skirt(pen: Pen, character: Character, at, swing: float, drop: float) -> None:
    dress = character.outfit == "dress"
    low, wide = (-8.5 + drop, 17.0) if dress else (-5.0 + drop, 18.0)
    wide += drop
    waist = 9.5

    def surface(u, v) -> np.ndarray:
        """A point of the skirt: u across in [-1, 1], v down in [0, 1]."""
        u, v = np.broadcast_arrays(np.asarray(u, float), np.asarray(v, float))
        half = 7.0 + (wide - 7.0) * v**0.8
        sag = -2.2 * (1 - u**2) * v + 0.9 * np.cos(u * 9.5) * v**2
        return at(np.stack([u * half + swing * v * 2, waist + (low - waist) * v + sag], -1))

    u, v = np.linspace(-1, 1, 17), np.linspace(0, 1, 7)
    edge = [surface(u, 0.0), surface(1.0, v)[1:-1], surface(u[::-1], 1.0), surface(-1.0, v[::-1])[1:-1]]
    pen.shape(np.vstack(edge), character.outfit_color, 2.6)
    tone = contrast(character.outfit_color)
    if character.pattern == "hem":
        pen.fill(np.vstack([surface(u * 0.98, 0.72), surface(u[::-1] * 0.98, 0.93)]), tone)
    elif character.pattern == "stripes":
        for center in (-0.62, -0.2, 0.22, 0.64):
            pen.fill(np.vstack([surface(center - 0.08, v * 0.97), surface(center + 0.08, v[::-1] * 0.97)]), tone)
    elif character.pattern == "dots":
        for a, b in ((-0.55, 0.45), (0.0, 0.35), (0.55, 0.45), (-0.7, 0.8), (-0.24, 0.75), (0.24, 0.75), (0.7, 0.8)):
            pen.fill(ellipse(surface(a, b), 1.6, 1.6, 12), tone)
    for center, top in ((-0.42, 0.35), (0.05, 0.5), (0.45, 0.3)):
        pen.stroke(surface(center, np.linspace(top, 0.92, 4)), 0.75)
    if dress:
        _belt(pen, at, character.accent_color)


def _coat(pen: Pen, character: Character, at, swing: float, drop: float) -> None:
    low = -11.0 + drop
    left = [(-7.4, 12), (-9.5, 2), (-12 + swing, low + 1)]
    hem = [(-5 + swing, low - 0.5), (0.8 + swing, low + 2), (6 + swing, low - 0.5)]
    right = [(12 + swing, low + 1), (9.5, 2), (7.4, 12)]
    pen.shape(at(closed([*left, *hem, *right, (0, 13)], 4)), character.outfit_color, 2.4)
    tone = contrast(character.outfit_color)
    if character.pattern == "hem":
        band = [(-11 + swing, low + 4.6), (0.8 + swing, low + 5.4), (11 + swing, low + 4.6)]
        pen.fill(at(np.vstack([curve(band), curve([(x, y - 3.6) for x, y in band])[::-1]])), tone)
    elif character.pattern == "stripes":
        for x in (-7.2, -3.6, 4.4, 7.8):
            pen.fill(at([(x, 6), (x + 1.5, 6), (x * 1.22 + 1.7 + swing, low + 2), (x * 1.22 + swing, low + 2)]), tone)
    elif character.pattern == "dots":
        for x, y in ((-6, 4), (6, 4), (-8, -3), (-4, -4.5), (5, -4.5), (8.6, -2)):
            pen.fill(at(ellipse((x, y), 1.5, 1.5, 12)), tone)
    pen.stroke(at([(0.4, 20), (0.5, 6), (0.8 + swing, low + 2)]), 0.9, taper=False)
    for y in (4.5, -1.0):
        pen.shape(at(ellipse((2.6, y), 1.3, 1.3, 12)), character.accent_color, 0, 0.5)
    _belt(pen, at, character.accent_color)


def _trousers_top(pen: Pen, character: Character, at) -> None:
    pen.shape(at(closed([(-8.6, 2.5), (-8.4, -2.8), (0, -4.2), (8.4, -2.8), (8.6, 2.5), (0, 1.4)], 4)),
              character.accent_color, 1.2)  # fmt: skip
    rib = [(-8.4, 4.8), (-8.8, 1.4), (0, 0.4), (8.8, 1.4), (8.4, 4.8), (0, 3.8)]
    pen.shape(at(closed(rib, 4)), darker(character.outfit_color, 0.1), 0, 0.8)
    pen.stroke(at([(-5, 12), (-2.5, 10.5), (-0.8, 11)]), 0.6)


def _collar(pen: Pen, character: Character, at) -> None:
    color = CREAM if character.outfit in ("dress", "skirt", "overalls") else character.accent_color
    for side in (-1, 1):
        flap = np.array([(0.2, 21.2), (2.6, 24.6), (5.8, 24.0), (5.4, 20.6), (3.2, 18.9)]) * (side, 1)
        pen.shape(at(closed(flap, 4)), color, 0.8, 0.8)


def _marking(pen: Pen, character: Character, at) -> None:
    center = np.array([-4.6 if character.marking_side == "left" else 4.6, 13.9])
    color = character.outfit_color if character.outfit == "skirt" else character.accent_color
    if character.marking == "star":
        angle = np.linspace(0, 2 * np.pi, 10, endpoint=False) + np.pi / 2
        radius = np.where(np.arange(10) % 2, 1.9, 4.3)
        outline = np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1)
    elif character.marking == "heart":
        half = [(0, -3.8), (2.7, -1.2), (3.7, 1.4), (2.4, 3.4), (0.7, 2.9)]
        outline = closed([*half, (0, 1.9), *[(-x, y) for x, y in half[:0:-1]]], 3)
    else:
        a = np.linspace(0.9, 2 * np.pi - 0.9, 16)
        outer = np.stack([4.1 * np.cos(a), 4.1 * np.sin(a)], 1)
        b = np.linspace(2 * np.pi - 1.25, 1.25, 12)
        outline = np.vstack([outer, np.stack([3.1 * np.cos(b) + 1.6, 3.1 * np.sin(b)], 1)])
    pen.shape(at(MARKING_SIZE * outline + center), color, 0, 0.95)


def _scarf(pen: Pen, character: Character, pose: Pose, points: Points) -> None:
    neck, color = points["neck"], character.accent_color
    side = -direction(pose)
    blow = LEAN.get(pose.legs, 0.0)
    end = np.array([(4, -2), (9 + blow, -5 + 0.6 * blow), (15 + 1.3 * blow, -12 + 1.1 * blow)]) * (side, 1) + neck
    pen.shape(limb(end, (2.6, 3.2, 4.2)), color, 1.5)
    pen.shape(closed([(-8, 1.5), (-8.4, -3.2), (0, -5.4), (8.4, -3.2), (8, 1.5), (0, -0.6)], 4) + neck, color, 1.4)
    pen.stroke(np.array([(-5, -2.6), (0, -3.6), (4, -2.9)]) + neck, 0.6)


def _arm(pen: Pen, character: Character, pose: Pose, points: Points, side: str) -> None:
    shoulder, elbow, hand = (points[f"{side}_{name}"] for name in ("shoulder", "elbow", "hand"))
    state = getattr(pose, f"{side}_arm")
    pen.shape(limb([shoulder, elbow, hand], (3.6, 3.1, 2.7)), character.skin, 1.2)
    _hand(pen, character, state, elbow, hand, 1 if side == "right" else -1)
    sleeve = top_color(character)
    if character.outfit in ("coat", "trousers"):  # long sleeves with a cuff
        wrist = elbow + 0.72 * (hand - elbow)
        pen.shape(limb([shoulder, elbow, wrist], (4.5, 4.1, 4.2)), sleeve, 1.6)
        cuff = (wrist - elbow) / np.linalg.norm(wrist - elbow)
        across = np.array([cuff[1], -cuff[0]]) * 4.0
        pen.stroke(np.array([wrist - 1.2 * cuff - across, wrist - 0.4 * cuff, wrist - 1.2 * cuff + across]), 0.7)
    else:  # puffed short sleeves
        end = shoulder + 0.52 * (elbow - shoulder)
        pen.shape(
            limb([shoulder - 0.06 * (elbow - shoulder), 0.5 * (shoulder + end), end], (4.4, 5.4, 4.4)), sleeve, 1.6
        )


def _hand(pen: Pen, character: Character, state: str, elbow, hand, side: int) -> None:
    along = (hand - elbow) / np.linalg.norm(hand - elbow)
    across = np.array([along[1], -along[0]]) * side
    open_hand = state in ("raised", "out")
    if open_hand:
        for spread, length in ((-0.62, 4.6), (-0.05, 5.4), (0.5, 4.7)):
            tip = hand + along * length + across * spread * 4.4
            pen.shape(limb([hand + along * 1.2 + across * spread * 2, tip], (1.5, 1.25)), character.skin, 0, 0.9)
    thumb = hand - across * (4.4 if open_hand else 3.0) + along * (2.2 if open_hand else 2.6)
    pen.shape(limb([hand - across * 1.0, thumb], (1.5, 1.2)), character.skin, 0, 0.9)
    palm = ellipse(hand + along * 0.8, 3.3, 3.1, 18)
    if open_hand:
        pen.shape(palm, character.skin, 0.8, 0.0)
        pen.stroke(hand + np.array([across * 2.9 - along * 1.0, across * 3.0 + along * 1.8]), 0.7, INK)
    else:
        pen.shape(palm, character.skin, 1.0, 0.9)
        pen.stroke(hand + np.array([along * 1.6 - across * 0.8, along * 2.6 + across * 0.4]), 0.5, INK)
