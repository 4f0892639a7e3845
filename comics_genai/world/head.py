"""The head: back hair, face, fringe with its streak, locks, and headgear. Local units, origin at the head's centre."""

import numpy as np

from .color import HSV, darker, lighter
from .factors import Character, Pose, Scene
from .ink import INK, Pen, closed, curve, ellipse, limb, rotation
from .parts import number_of
from .skeleton import LEAN, direction

Points = dict[str, np.ndarray]
TURN = {"left": -1.0, "front": 0.0, "right": 1.0}


class Head:
    """Places local points: tilted with the body; `f` is -1, 0 or 1, the way the face is turned."""

    def __init__(self, scene: Scene, points: Points):
        pose = scene.pose
        self.f = TURN[pose.facing]
        self.center = points["head"]
        lean = LEAN.get(pose.legs, 0.0) * direction(pose) * 0.6 + self.f * 2.0
        self.turn = rotation(-lean)

    def __call__(self, local) -> np.ndarray:
        return np.asarray(local, float) @ self.turn + self.center


def _waved(points: np.ndarray, amplitude: float, waves: float) -> np.ndarray:
    """`points` of an open curve swung sideways, more towards its end."""
    path = curve(points, 8)
    t = np.linspace(0, 1, len(path))
    swing = amplitude * np.sin(2 * np.pi * waves * t) * np.minimum(1, 2.5 * t)
    return path + np.stack([swing, np.zeros_like(t)], 1)


def draw_back_hair(pen: Pen, scene: Scene, points: Points) -> None:
    """The hair behind body and face."""
    pen.part = number_of("hair")
    at, character, pose = Head(scene, points), scene.character, scene.pose
    blow = -direction(pose) * LEAN.get(pose.legs, 0.0) * 0.55
    color, wave = character.hair_color, character.hair_wave
    style = character.hair_style
    if style == "long":
        _curtain(pen, at, color, length=52, width=24, wave=wave, blow=blow)
    elif style == "bob":
        _curtain(pen, at, color, length=21, width=24, wave=0.5 * wave, blow=0.4 * blow)
    elif style == "ponytail":
        spine = [(8, 17), (24, 20), (32, 6), (31 + blow, -12), (35 + blow, -26)]
        pen.shape(at(limb(_waved(spine, 3.2 * wave, 1.6)[::4], (4, 8, 9, 7, 1.0))), color, 3.0)
        _strands(pen, at, [[(23, 12), (28, 0), (28 + blow, -14)]])
    elif style == "twin tails":
        for side in (-1, 1):
            spine = np.array([(16, 9), (27, 8), (32, -8), (29, -24), (33, -36)], float) * (side, 1)
            spine[2:, 0] += blow
            pen.shape(at(limb(_waved(spine, 3.2 * wave, 1.6)[::4], (3, 7.5, 8.5, 6.5, 1.0))), color, 2.6)
            _strands(pen, at, [np.array([(26, 2), (29, -9), (27, -20)]) * (side, 1) + (0.6 * blow, 0)])
    elif style == "curly":
        angle = np.linspace(-0.28 * np.pi, 1.28 * np.pi, 12)
        bumps = [(24.5 * np.cos(a), 23.5 * np.sin(a) - 1) for a in angle]
        for x, y in bumps:
            pen.shape(at(ellipse((x, y), 8.0, 8.0, 20)), color, 2.0)
        pen.fill(at(ellipse((0, -1), 24.5, 23.5)), color)
    elif style == "buns":
        for side in (-1, 1):
            pen.shape(at(ellipse((side * 18.5, 17), 9.0, 9.0, 24)), color, 2.6)
            pen.stroke(at(np.array([(14, 20), (18, 22), (22, 18), (20, 14)]) * (side, 1)), 0.7)
        pen.shape(at(closed([(-20, 8), (-19, -10), (0, -15), (19, -10), (20, 8), (0, 20)])), color, 0)
    else:
        spikes = [(-20, 10), (-25, 0), (-20.5, -2), (-23, -10), (-16, -10), (-14, -16), (0, -13), (14, -16),
                  (16, -10), (23, -10), (20.5, -2), (25, 0), (20, 10), (0, 20)]  # fmt: skip
        pen.shape(at(np.array(spikes, float)), color, 1.5)


def _curtain(pen: Pen, at: Head, color: HSV, length: float, width: float, wave: float, blow: float) -> None:
    y = np.linspace(10, -length, 9)
    t = np.linspace(0, 1, 9)
    flare = width - 3.5 + 6.5 * t * (length / 52) + 1.5 * np.sin(np.pi * t)
    swing = 3.4 * wave * np.sin(2 * np.pi * 1.7 * t) * t**0.5 + blow * t**1.5
    left, right = np.stack([-flare + swing, y], 1), np.stack([flare + swing, y], 1)
    ends = [(x * flare[-1] + swing[-1], -length + d) for x, d in ((0.55, -4.5), (0.2, 0.5), (-0.2, -4.5), (-0.6, 0.5))]
    pen.shape(at(closed([(0, 23), (14, 20), *right, *ends, *left[::-1], (-14, 20)], 4)), color, 3.2)
    if length > 30:
        inner = [np.stack([x * flare[3:] + swing[3:], y[3:]], 1) for x in (-0.72, 0.74)]
        _strands(pen, at, inner)


def _strands(pen: Pen, at: Head, lines) -> None:
    for line in lines:
        pen.stroke(at(line), 0.75)


def draw_head(pen: Pen, scene: Scene, points: Points) -> None:
    """Face, fringe, locks and headgear."""
    at, character, pose = Head(scene, points), scene.character, scene.pose
    pen.part = number_of("headgear")
    if character.headgear == "headphones":
        band = np.vstack([ellipse((0, 2), 22.5, 25.5, 40)[:21], ellipse((0, 2), 19.5, 22.5, 40)[20::-1]])
        pen.shape(at(band), character.headgear_color, 0.6)
    pen.part = number_of("face")
    _skull(pen, at, character)
    _face(pen, at, character, pose)
    pen.part = number_of("hair")
    _locks(pen, at, character, pose)
    _fringe(pen, at, character)
    pen.part = number_of("headgear")
    HEADGEAR[character.headgear](pen, at, character)


def _skull(pen: Pen, at: Head, character: Character) -> None:
    f, skin = at.f, character.skin
    for side in (-1, 1):
        if side * f <= 0:
            pen.shape(at(ellipse((side * 17.2 - 0.8 * f, -3.5), 3.2, 4.2, 18)), skin, 0.8)
            pen.stroke(at(np.array([(16.6, -2), (18.6, -3), (17.6, -5)]) * (side, 1) - (0.8 * f, 0)), 0.5)
    jaw = [(1.8 * f, -18.2), (8.5 + f, -15.8), (15.4 + 0.6 * f, -9.2), (17.4, -1.0), (16.4, 9), (9, 17.5), (0, 19.5)]
    mirrored = [(-9, 17.5), (-16.4, 9), (-17.4, -1.0), (-15.4 + 0.6 * f, -9.2), (-8.5 + f, -15.8)]
    pen.shape(at(closed([*jaw, *mirrored])), skin, 2.0)


def _face(pen: Pen, at: Head, character: Character, pose: Pose) -> None:
    f, skin, mood = at.f, character.skin, pose.expression
    blush = ((skin[0] - 14) % 360 if skin[0] < 60 else skin[0] - 30, min(1.0, skin[1] + 0.16), skin[2] * 0.985)
    for side in (-1, 1):
        pen.fill(at(ellipse((side * 10.8 + 3.4 * f, -8.6), 2.9 - 0.5 * side * f, 1.7, 16)), blush)
    for side in (-1, 1):
        _eye(pen, at, character, mood, side)
    pen.stroke(at([(4.9 * f - 0.4, -5.2), (5.8 * f + 0.5, -6.6), (5.0 * f - 0.2, -7.0)]), 0.65)
    _mouth(pen, at, mood, 4.6 * f)


def _eye(pen: Pen, at: Head, character: Character, mood: str, side: int) -> None:
    f, shape = at.f, character.eye_shape
    far = 0.86 if side * f > 0 else 1.0
    x, y = side * 7.7 + 4.2 * f, -1.6
    rx, ry = (4.5 - 0.7 * shape) * far, 2.4 + 3.5 * shape
    white = ellipse((x, y), rx, ry, 24)
    pen.shape(at(white), (30.0, 0.02, 1.0), 0, 0.7)
    gaze = 1.15 * f
    iris = min(ry * 0.92, 3.9)
    ir = min(3.1, rx * 0.82) * far
    pen.fill(at(ellipse((x + gaze, y - 0.05 * ry), ir, iris, 20)), darker(character.eye_color, 0.3))
    pen.fill(at(ellipse((x + gaze, y - 0.14 * ry), ir * 0.92, iris * 0.82, 20)), character.eye_color)
    pupil = 0.36 if mood == "surprised" else 0.5
    pen.fill(at(ellipse((x + gaze * 1.2, y + 0.04 * ry), ir * pupil, iris * pupil, 16)), INK)
    pen.fill(at(ellipse((x + gaze - 1.0, y + 0.42 * iris), 1.05, 1.05, 12)), (255, 255, 255))
    pen.fill(at(ellipse((x + gaze + 1.2, y - 0.4 * iris), 0.5, 0.5, 8)), (255, 255, 255))
    lid = [(x - rx * 1.05, y + 0.25 * ry), (x - 0.5 * rx, y + 0.88 * ry), (x + 0.5 * rx, y + 0.88 * ry),
           (x + rx * 1.05, y + 0.25 * ry)]  # fmt: skip
    pen.stroke(at(lid), 1.7)
    outer = x + side * rx
    pen.stroke(at([(outer - side * 0.6, y + 0.45 * ry), (outer + side * 1.9, y + 0.45 * ry + 1.6)]), 1.1)
    brow = y + ry + 3.0
    inner, out = x - side * 3.6, x + side * 3.8
    heights = {
        "smiling": (0.3, 1.2, 0.2),
        "sad": (2.4, 1.3, -1.2),
        "surprised": (1.6, 3.0, 1.4),
        "angry": (-1.9, 0.0, 2.0),
    }
    a, b, c = heights[mood]
    hair = darker(character.hair_color, 0.45)
    tone = hair if hair[2] < 0.6 else (hair[0], hair[1], 0.45)
    pen.stroke(at([(inner, brow + a), (x, brow + b), (out, brow + c)]), 1.35, tone)


def _mouth(pen: Pen, at: Head, mood: str, x: float) -> None:
    inside, tongue = (350.0, 0.72, 0.45), (355.0, 0.5, 0.9)
    y = -11.9
    if mood == "smiling":
        lips = [(x - 4.2, y + 1.5), (x, y + 0.9), (x + 4.2, y + 1.5), (x + 2.6, y - 2.4), (x - 2.6, y - 2.4)]
        pen.shape(at(closed(lips)),
                  inside, 0, 0.9)  # fmt: skip
        pen.fill(at(ellipse((x, y - 1.9), 2.1, 1.1, 14)), tongue)
        pen.stroke(at([(x - 4.9, y + 2.1), (x - 4.1, y + 1.3)]), 0.9)
        pen.stroke(at([(x + 4.1, y + 1.3), (x + 4.9, y + 2.1)]), 0.9)
    elif mood == "sad":
        pen.stroke(at([(x - 3.8, y - 1.8), (x, y + 0.7), (x + 3.8, y - 1.8)]), 1.3)
        pen.stroke(at([(x - 1.2, y - 2.9), (x + 1.2, y - 2.9)]), 0.6)
    elif mood == "surprised":
        pen.shape(at(ellipse((x, y - 0.6), 2.4, 3.1, 18)), inside, 0, 0.95)
        pen.fill(at(ellipse((x, y - 2.3), 1.5, 0.9, 12)), tongue)
    else:
        box = [
            (x - 4.2, y - 1.7),
            (x - 3.6, y + 0.9),
            (x, y + 1.4),
            (x + 3.6, y + 0.9),
            (x + 4.2, y - 1.7),
            (x, y - 1.2),
        ]
        pen.shape(at(closed(box, 4)), (40.0, 0.03, 1.0), 0, 0.95)
        pen.stroke(at([(x - 3.4, y - 0.4), (x, y + 0.1), (x + 3.4, y - 0.4)]), 0.6, taper=False)


def _locks(pen: Pen, at: Head, character: Character, pose: Pose) -> None:
    blow = -direction(pose) * LEAN.get(pose.legs, 0.0) * 0.3
    for side in (-1, 1):
        x = side * 17.4 + 0.6 * at.f
        spine = _waved([(x, 9), (x + side * 1.2, -4), (x + side * 0.4 + 0.5 * blow, -16), (x + blow, -26)],
                       3.6 * character.hair_wave, 1.4)  # fmt: skip
        pen.shape(at(limb(spine[::3], (3.6, 3.9, 3.6, 2.6, 0.5))), character.hair_color, 1.2)


FRINGES = {
    "straight": ([(17, -1.5), (13.5, 3.5), (10, 2.4), (6.5, 5.2), (3, 2.6), (-0.5, 5.2), (-4, 2.6), (-7.5, 5.2),
                  (-11, 2.4), (-14, 3.5), (-17, -1.5)], ((6.5, 5.2), (-0.5, 5.2), (-7.5, 5.2))),
    "parted": ([(17.5, -3), (14.5, 3), (9, 8), (3.5, 13), (0.5, 16.5), (-2.5, 13), (-8, 8), (-14.5, 3), (-17.5, -3)],
               ((0.5, 16.5),)),
    "swept": ([(17.5, -3), (14, 0.5), (7, 3.5), (-1, 6.5), (-8, 10.5), (-12.5, 14), (-14.5, 8), (-17, 1)],
              ((-12.5, 14),)),
}  # fmt: skip


def _fringe(pen: Pen, at: Head, character: Character) -> None:
    lower, partings = FRINGES[character.fringe]
    shift = np.array([1.3 * at.f, 0.0])
    edge = curve(np.array(lower, float) + shift, 4)
    top = closed(
        [(-18.5, 0), (-20.4, 8), (-17, 17.5), (-9, 22.8), (0, 24.2), (9, 22.8), (17, 17.5), (20.4, 8), (18.5, 0)], 4
    )
    crown = top[: len(top) - 4]
    pen.shape(at(np.vstack([crown, edge])), character.hair_color, 1.8)
    streak = closed(
        np.array([(5.5, 21.5), (11.5, 19.6), (16.6, 12), (18.6, 2), (17.4, -5), (13.8, 0), (11.6, 9), (8.2, 16)])
        + shift,
        4,
    )
    pen.shape(at(streak), character.streak_color, 1.0, 0.8)
    gloss = lighter(character.hair_color, 0.5) if character.hair_color[2] > 0.3 else lighter(character.hair_color, 0.25)
    a = np.linspace(0.60 * np.pi, 0.86 * np.pi, 10)
    arc = np.stack([np.cos(a), np.sin(a)], 1)
    thick = (np.sin(np.linspace(0, np.pi, 10)) * 1.5)[:, None]
    pen.fill(
        at(np.vstack([arc * (15.5, 17.0) + arc * thick, (arc * (15.5, 17.0) - arc * thick)[::-1]]) + (1.2 * at.f, 1.0)),
        gloss,
    )
    for x, y in partings:
        pen.stroke(at(np.array([(x, y), (0.75 * x, y + 5), (0.55 * x, min(y + 9, 21))]) + shift), 0.75)


def _horn(pen: Pen, at: Head, character: Character) -> None:
    x = 2.2 * at.f
    tip = (x * 2.2, 41.0)
    left, right = (x - 4.6, 17.5), (x + 4.6, 17.5)
    side = np.linspace(0, 1, 6)[:, None]
    outline = np.vstack(
        [np.array(left) + side * (np.array(tip) - left), (np.array(right) + side * (np.array(tip) - right))[::-1]]
    )
    pen.shape(at(np.vstack([outline, [(x, 15.8)]])), character.headgear_color, 2.0)
    for t in (0.16, 0.40, 0.62):
        a, b = np.array(left) + t * (np.array(tip) - left), np.array(right) + (t + 0.16) * (np.array(tip) - right)
        pen.stroke(at([a, 0.5 * (a + b) + (0, -1.3), b]), 0.9)
    hair = [(x - 6.5, 19.5), (x - 4, 16.2), (x, 15), (x + 4, 16.2), (x + 6.5, 19.5)]
    pen.stroke(at(hair), 0.8)


def _cat_ears(pen: Pen, at: Head, character: Character) -> None:
    for side in (-1, 1):
        ear = closed([(5.2, 21.5), (12, 31.5), (18.2, 35), (19.6, 25), (17.8, 13.8), (11, 19)], 4) * (side, 1)
        pen.shape(at(ear), character.headgear_color, 1.6)
        inner = np.array([(9.6, 22.6), (14.2, 28.6), (17.0, 30.5), (17.2, 24), (16.0, 18.8)]) * (side, 1)
        pen.fill(at(closed(inner, 4)), lighter(character.headgear_color, 0.55))


def _bow(pen: Pen, at: Head, character: Character) -> None:
    color = character.headgear_color
    for side in (-1, 1):
        tail = np.array([(1, 22), (7.5, 16), (10.5, 18.5), (3.5, 24)]) * (side, 1)
        pen.shape(at(tail), darker(color, 0.1), 0.8)
        loop = closed([(1.5, 24), (8, 31.5), (16.5, 32.5), (17.5, 23), (10, 19.5)]) * (side, 1)
        pen.shape(at(loop), color, 2.0)
        pen.stroke(at(np.array([(3, 25), (7, 26.5), (10.5, 26.5)]) * (side, 1)), 0.8)
    pen.shape(at(ellipse((0, 24.5), 3.2, 3.8, 18)), color, 1.2)


def _hat(pen: Pen, at: Head, character: Character) -> None:
    color = character.headgear_color
    cone = closed([(-15, 17), (-11.5, 27), (-5, 36), (4, 40.5), (12, 38), (8.5, 31), (12, 25), (15, 17), (0, 14.5)])
    pen.shape(at(cone), color, 2.6)
    band = [(-14.6, 17), (-13, 22.6), (0, 20.8), (13, 22.6), (14.6, 17), (0, 14.8)]
    pen.shape(at(closed(band, 4)), contrasting(color), 0.8, 0.8)
    brim = closed([(-28, 14.5), (-16, 18.4), (0, 16.2), (16, 18.4), (28, 14.5), (17, 11.6), (0, 10.2), (-17, 11.6)])
    pen.shape(at(brim), color, 1.6)


def contrasting(color: HSV) -> HSV:
    """A hat band's tone against its hat."""
    return lighter(color, 0.6) if color[2] < 0.7 else darker(color, 0.45)


def _crown(pen: Pen, at: Head, character: Character) -> None:
    points = [(-12, 19.5), (-14.5, 33), (-7.2, 27), (0, 36.5), (7.2, 27), (14.5, 33), (12, 19.5), (0, 17.4)]
    pen.shape(at(np.array(points, float)), character.headgear_color, 2.2)
    for x, y in ((-14.5, 33.6), (0, 37.2), (14.5, 33.6)):
        pen.shape(at(ellipse((x, y), 1.9, 1.9, 14)), character.headgear_color, 0.6, 0.8)
    for x in (-6.5, 0, 6.5):
        pen.shape(at(ellipse((x, 22.6 - 0.02 * x * x), 1.5, 1.7, 12)), (350.0, 0.6, 0.9), 0, 0.5)


def _flowers(pen: Pen, at: Head, character: Character) -> None:
    for x, y, r in ((-15.5, 17.0, 4.6), (15.5, 17.0, 4.6), (-8.2, 22.4, 5.0), (8.2, 22.4, 5.0), (0, 24.6, 5.6)):
        a = np.linspace(0, 2 * np.pi, 30, endpoint=False) + 0.3 * x
        petals = (r * (0.82 + 0.24 * np.cos(5 * a)))[:, None] * np.stack([np.cos(a), np.sin(a)], 1)
        pen.shape(at(petals + (x, y)), character.headgear_color, 1.2, 0.9)
        pen.fill(at(ellipse((x, y), 0.33 * r, 0.33 * r, 12)), (46.0, 0.55, 1.0))


def _headphones(pen: Pen, at: Head, character: Character) -> None:
    color = character.headgear_color
    band = np.vstack([ellipse((0, 2), 23.2, 26.8, 40)[2:19], ellipse((0, 2), 20.0, 22.6, 40)[18:1:-1]])
    pen.shape(at(band), color, 1.0)
    for side in (-1, 1):
        pen.shape(at(ellipse((side * 20.6, -1.5), 4.6, 7.4, 24)), color, 1.8)
        pen.shape(at(ellipse((side * 21.6, -1.5), 2.4, 4.4, 18)), contrasting(color), 0, 0.7)


HEADGEAR = {
    "horn": _horn,
    "cat ears": _cat_ears,
    "bow": _bow,
    "hat": _hat,
    "crown": _crown,
    "flowers": _flowers,
    "headphones": _headphones,
}
