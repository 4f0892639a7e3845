"""Overview of a set of drawings: duplicates, framing, likeness, and the mean drawing."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import PIL.Image
from PIL import ImageOps
from skimage.metrics import structural_similarity

from comics_genai.describe.character import bounding_box
from comics_genai.describe.studies import Study
from comics_genai.drawings import to_square
from comics_genai.errors import UserError
from comics_genai.world.color_difference import lab_of_srgb

HASH_BITS = 64
# Differing bits of 64 up to which two pictures are taken for versions of one; unrelated ones differ in 32. For
# photographs 10 is usual, but one character in one pose in two rooms is that near, and no duplicate.
NEAR = 5
LAYOUT = 64  # pixels a side at which whole pictures are compared
CELL = 10.0  # CIELAB units a side of the cells in which colours count as shared


def difference_hash(picture: PIL.Image.Image) -> int:
    """dHash of 64 bits: whether each of 8x8 grey cells is darker than its right neighbour. Krawetz 2013."""
    grey = np.asarray(picture.convert("L").resize((9, 8), PIL.Image.Resampling.BOX), np.int16)
    return int("".join("01"[bit] for bit in (grey[:, :-1] < grey[:, 1:]).astype(int).ravel()), 2)


@dataclass(frozen=True)
class Pair:
    """Two drawings that are versions of one."""

    first: str
    second: str
    kind: str  # identical | near | mirrored
    bits: int  # of 64 that differ


def duplicates(studies: Sequence[Study], near: int = NEAR) -> list[Pair]:
    """The pairs of drawings that are equal, nearly equal (at most `near` bits of dHash differ), or mirrored.

    dHash ignores colours, so a recoloured drawing is found too.
    """
    hashes = [difference_hash(study.image) for study in studies]
    mirrored = [difference_hash(ImageOps.mirror(study.image)) for study in studies]
    found = []
    for i, j in combinations(range(len(studies)), 2):
        bits, flipped = (hashes[i] ^ hashes[j]).bit_count(), (hashes[i] ^ mirrored[j]).bit_count()
        if np.array_equal(studies[i].colors, studies[j].colors):
            kind = "identical"
        elif min(bits, flipped) > near:
            continue
        else:
            kind = "near" if bits <= flipped else "mirrored"
        found.append(Pair(studies[i].name, studies[j].name, kind, flipped if kind == "mirrored" else bits))
    return found


def duplicates_in_words(studies: Sequence[Study], near: int = NEAR) -> list[str]:
    """A sentence for each pair of `duplicates`, or one on how far apart the closest two drawings are."""
    words = {"identical": "are the same picture", "near": "are nearly the same", "mirrored": "mirror each other"}
    found = duplicates(studies, near)
    if found or len(studies) < 2:
        return [f"{p.first} and {p.second} {words[p.kind]} ({p.bits} of {HASH_BITS} bits differ)." for p in found]
    distances = hash_distances(studies) + np.eye(len(studies), dtype=int) * HASH_BITS
    i, j = np.unravel_index(distances.argmin(), distances.shape)
    return [
        f"No duplicates: the closest two, {studies[i].name} and {studies[j].name}, differ in {distances[i, j]} of "
        f"{HASH_BITS} bits, and up to {near} would make them one."
    ]


def hash_distances(studies: Sequence[Study]) -> np.ndarray:
    """Differing bits of dHash between every two drawings: int (n, n)."""
    hashes = [difference_hash(study.image) for study in studies]
    return np.array([[(first ^ second).bit_count() for second in hashes] for first in hashes])


@dataclass(frozen=True)
class Framing:
    """How a drawing fits a square and how the character fits the drawing; shares are in [0, 1]."""

    padded: float  # share of the padded square that is added paper
    cropped: float  # share of the drawing that a central square crop would lose
    character_cropped: float  # share of the character that it would lose
    box: tuple[int, int, int, int]  # the character's left, top, right, bottom in the study's pixels
    box_share: float  # of the box, in the drawing
    character: float  # share of the drawing's pixels that are the character's
    margin: float  # from the box to the nearest edge of the drawing, in its longer side


def framing(study: Study) -> Framing:
    """The framing of one drawing."""
    height, width = study.mask.shape
    longer, shorter = max(width, height), min(width, height)
    top, left = (height - shorter) // 2, (width - shorter) // 2
    kept = study.mask[top : top + shorter, left : left + shorter].sum() / max(1, study.mask.sum())
    box = bounding_box(study.mask)
    margin = min(box[0], box[1], width - box[2], height - box[3]) / longer
    share = (box[2] - box[0]) * (box[3] - box[1]) / (width * height)
    unused = 1 - shorter / longer
    return Framing(unused, unused, float(1 - kept), box, share, float(study.mask.mean()), margin)


def scaling(study: Study, size: int) -> str:
    """How padding to a square and resizing to `size` px changes the drawing's pixels, in words."""
    factor = size / max(study.stored.width, study.stored.height)
    if factor == 1:
        return "as it is"
    return f"enlarged to {factor:.0%}" if factor > 1 else f"reduced to {factor:.0%}"


def layout_similarity(studies: Sequence[Study]) -> np.ndarray:
    """SSIM (Wang et al. 2004) between every two drawings, grey and 64 px: (n, n), 1 on the diagonal."""
    _check_pairs(studies)
    grey = [np.asarray(to_square(study.image, LAYOUT).convert("L")) for study in studies]
    return _symmetric(len(studies), lambda i, j: structural_similarity(grey[i], grey[j], data_range=255))


def color_similarity(studies: Sequence[Study]) -> np.ndarray:
    """Share of colours that every two characters have in common: (n, n) in [0, 1].

    The intersection of histograms (Swain and Ballard 1991) over cells of 10 units of CIELAB, backgrounds left out.
    """
    _check_pairs(studies)
    cells = [np.floor(lab_of_srgb(study.character) / CELL).astype(int) for study in studies]
    occupied, index = np.unique(np.concatenate(cells), axis=0, return_inverse=True)
    ends = np.cumsum([len(cell) for cell in cells])[:-1]
    counts = [np.bincount(part, minlength=len(occupied)) for part in np.split(index.ravel(), ends)]
    shares = [count / max(1, count.sum()) for count in counts]
    return _symmetric(len(studies), lambda i, j: np.minimum(shares[i], shares[j]).sum())


def mean_drawing(studies: Sequence[Study], side: int = 192) -> PIL.Image.Image:
    """The mean of all drawings, padded to squares of `side` px."""
    return PIL.Image.fromarray(_stack(studies, side).mean(0).round().astype(np.uint8))


def variation(studies: Sequence[Study], side: int = 192) -> np.ndarray:
    """How far each pixel varies over the set: (side, side), standard deviation in CIELAB units, over all three axes."""
    return np.sqrt(lab_of_srgb(_stack(studies, side)).var(0).sum(-1))


def _stack(studies: Sequence[Study], side: int) -> np.ndarray:
    return np.stack([np.asarray(to_square(study.image, side)) for study in studies])


def _check_pairs(studies: Sequence[Study]) -> None:
    if len(studies) < 2:
        raise UserError(f"Likeness is between drawings, and there is {len(studies) or 'none'}: give at least 2.")


def _symmetric(count: int, compare) -> np.ndarray:
    matrix = np.eye(count)
    for i, j in combinations(range(count), 2):
        matrix[i, j] = matrix[j, i] = compare(i, j)
    return matrix
