"""Find the character in a drawing, by its transparency or by an estimate from the picture."""

import numpy as np
import PIL.Image
from skimage import filters, graph, measure, morphology

from comics_genai.drawings import Drawing
from comics_genai.world.color_difference import lab_of_srgb

SIDE = 160  # pixels of the longer side at which the character is sought
IGNORED = 3.0  # steps in CIELAB below this are shading, not an edge
ROUNDS = 8  # of colour models and cut, as in GrabCut
CENTRED = 0.3  # weight of the middle of the picture, where characters stand, against the edges around them
LEAST = 0.02  # share of the picture below which nothing stands out


def character_mask(drawing: Drawing, size: tuple[int, int]) -> np.ndarray:
    """Where the character is in the drawing without its padding, at `size` = (width, height): bool (height, width).

    Where it is opaque, if the drawing came with transparency; else `estimate_mask`.
    """
    if drawing.mask is not None:
        return np.asarray(unpadded(drawing.mask, size).resize(size, PIL.Image.Resampling.BOX)) > 127
    return estimate_mask(unpadded(drawing.image, size).resize(size, PIL.Image.Resampling.LANCZOS))


def unpadded(square: PIL.Image.Image, size: tuple[int, int]) -> PIL.Image.Image:
    """A padded square cut back to the aspect of `size` = (width, height)."""
    side, longer = square.width, max(size)
    width, height = (max(1, round(side * length / longer)) for length in size)
    left, top = (side - width) // 2, (side - height) // 2
    return square.crop((left, top, left + width, top + height))


def estimate_mask(picture: PIL.Image.Image) -> np.ndarray:
    """Where the character probably is in an RGB picture: bool (height, width); everywhere if nothing stands out.

    Background is what the picture's border reaches without crossing a strong edge (geodesic saliency, Wei et al.
    2012). From there colour models of both sides and the cut between them are renewed in turns, in the manner of
    GrabCut (Rother et al. 2004), and the one most central piece is kept, without holes.
    """
    scale = min(1.0, SIDE / max(picture.size))
    small = picture.convert("RGB").resize(
        tuple(max(8, round(length * scale)) for length in picture.size), PIL.Image.Resampling.LANCZOS
    )
    lab = lab_of_srgb(np.asarray(small))
    enclosed = _enclosed(lab)
    middle = _middle(enclosed.shape)
    figure = enclosed + CENTRED * middle > 0
    cells = _color_cells(lab)
    for _ in range(ROUNDS):
        odds = _log_odds(cells, figure)
        figure = filters.gaussian(odds, 1.0) + enclosed + middle > 0
    figure = _one_piece(figure, middle)
    if not enclosed.any() or figure.mean() < LEAST:
        figure = np.ones_like(figure)
    return np.asarray(PIL.Image.fromarray(figure).resize(picture.size, PIL.Image.Resampling.NEAREST))


def bounding_box(mask: np.ndarray) -> tuple[int, int, int, int]:
    """Left, top, right, bottom (exclusive) in pixels of what is True in a mask (height, width); all 0 if nothing is."""
    if not mask.any():
        return 0, 0, 0, 0
    columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _enclosed(lab: np.ndarray) -> np.ndarray:
    """How many edges lie between each pixel and the border, from -1 to 1, where 0 is undecided; 0 without edges."""
    step = np.zeros(lab.shape[:2])
    for axis in (0, 1):
        difference = np.linalg.norm(np.diff(lab, axis=axis), axis=-1)
        for side in ((1, 0), (0, 1)):  # the pixels after the step, and those before it
            step = np.maximum(step, np.pad(difference, [side if i == axis else (0, 0) for i in (0, 1)]))
    if step.max() <= IGNORED:
        return np.zeros_like(step)
    border = np.ones(step.shape, bool)
    border[1:-1, 1:-1] = False
    # Flat ground has a small cost too; otherwise ties between paths would be broken at random.
    distance, _ = graph.MCP_Geometric(np.maximum(step - IGNORED, 0) + 1e-3).find_costs(np.argwhere(border).tolist())
    distance = np.minimum(distance, np.quantile(distance, 0.98))
    threshold = max(filters.threshold_otsu(distance), 1e-6)
    return np.clip((distance - threshold) / threshold, -1, 1)


def _middle(shape: tuple[int, ...]) -> np.ndarray:
    """1 in the middle of the picture, falling to -1 at its edges: to the sides early, above and below late.

    Characters stand in the middle and reach from near the top to near the bottom.
    """
    y, x = (np.abs(np.linspace(-1, 1, length)) for length in shape)
    return 1 - 2 * np.maximum(y[:, None] ** 6, x[None] ** 2)


def _color_cells(lab: np.ndarray) -> np.ndarray:
    """Index of the cell of a CIELAB grid, 8 units a side, that each pixel falls in."""
    cells = np.stack([lab[..., 0] / 8, (lab[..., 1] + 112) / 8, (lab[..., 2] + 112) / 8]).astype(int)
    return np.ravel_multi_index(tuple(cells), (14, 30, 30), mode="clip")


def _log_odds(cells: np.ndarray, figure: np.ndarray) -> np.ndarray:
    """Log of how much more frequent each pixel's colour is in the figure than outside of it, within -4 and 4."""
    inside, outside = (np.bincount(cells[side], minlength=cells.max() + 1) + 0.5 for side in (figure, ~figure))
    return np.clip(np.log((inside / inside.sum()) / (outside / outside.sum()))[cells], -4, 4)


def _one_piece(figure: np.ndarray, middle: np.ndarray) -> np.ndarray:
    """The piece with most of its pixels in the middle, smoothed, its holes filled."""
    closed = morphology.closing(figure, morphology.disk(3))  # closes ink lines, which are as dark as the background
    pieces = measure.label(morphology.opening(closed, morphology.disk(1)))
    weight = np.bincount(pieces.ravel(), np.exp(2 * middle).ravel())
    if len(weight) < 2:
        return np.zeros_like(figure)
    piece = pieces == 1 + weight[1:].argmax()
    holes = measure.label(~piece, connectivity=1)
    reached = np.unique(np.concatenate([holes[0], holes[-1], holes[:, 0], holes[:, -1]]))
    return piece | ~np.isin(holes, reached)
