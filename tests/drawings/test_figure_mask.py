import numpy as np
import PIL.Image
import PIL.ImageDraw

from comics_genai import world
from comics_genai.drawings.figure_mask import estimated_mask


def test_the_figure_is_what_flat_paper_does_not_reach_and_what_it_encloses():
    picture = PIL.Image.new("RGB", (64, 64), (250, 246, 240))
    PIL.ImageDraw.Draw(picture).ellipse((20, 20, 44, 44), outline="black", fill=(250, 246, 240), width=2)
    mask = np.asarray(estimated_mask(picture)) > 0
    assert mask[32, 32] and mask[21, 32] and not mask[5, 5] and 0.1 < mask.mean() < 0.2


def test_of_a_true_drawing_on_paper_it_is_nearly_the_true_mask_and_of_a_meadow_nothing():
    scene = world.Scene(world.UNICORN_GIRL, world.Pose(), world.Setting("paper"))
    mask, true = np.asarray(estimated_mask(world.draw(scene, 128))) > 0, world.figure_mask(scene, 128)
    assert (mask & true).sum() / (mask | true).sum() > 0.8
    assert estimated_mask(world.draw(world.Scene(world.UNICORN_GIRL, setting=world.Setting("city")), 128)) is None
    assert estimated_mask(PIL.Image.new("RGB", (64, 64), "white")) is None
