"""Find the figure in a drawing on flat paper: all but the paper that is connected to the border."""

import numpy as np
import PIL.Image
from scipy import ndimage

PAPER_DISTANCE = 24.0  # of 255: the most by which paper differs from its mean colour; ink and washes differ more
TOUCHED = 0.02  # the largest share of the border that a figure may touch
LEAST, MOST = 0.01, 0.95  # share of the drawing that a figure covers


def estimated_mask(image: PIL.Image.Image) -> PIL.Image.Image | None:
    """A mask (mode L) of the picture's size: 255 on the figure and what it encloses, 0 elsewhere.

    None if the border does not show flat paper.
    """
    pixels = np.asarray(image.convert("RGB"), np.float32)
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    paper = np.median(border, axis=0)
    if (np.abs(border - paper).max(1) > PAPER_DISTANCE).mean() > TOUCHED:
        return None
    like_paper = np.abs(pixels - paper).max(-1) <= PAPER_DISTANCE
    regions, _ = ndimage.label(like_paper)
    edge = np.unique(np.concatenate([regions[0], regions[-1], regions[:, 0], regions[:, -1]]))
    figure = ~np.isin(regions, edge[edge > 0])
    if not LEAST <= figure.mean() <= MOST:
        return None
    return PIL.Image.fromarray(np.where(figure, 255, 0).astype(np.uint8))
