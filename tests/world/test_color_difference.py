import numpy as np
from skimage.color import deltaE_ciede2000, rgb2lab

from comics_genai.pretrain.dataset import draw_scenes
from comics_genai.world.color_difference import ciede2000, lab_of_srgb


def test_ciede2000_of_published_pairs():
    # Sharma, Wu and Dalal 2005, table 1, pairs 1, 4, 9, 17 and 25.
    pairs = [
        ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
        ((50, -1.3802, -84.2814), (50, 0, -82.7485), 1.0),
        ((50, 2.49, -0.001), (50, -2.49, 0.0009), 7.1792),
        ((50, 2.5, 0), (73, 25, -18), 27.1492),
        ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
    ]
    first, second, expected = (np.array(column) for column in zip(*pairs, strict=True))
    np.testing.assert_allclose(ciede2000(first, second), expected, atol=1e-4)


def test_ciede2000_and_lab_agree_with_scikit_image():
    lab = lab_of_srgb(draw_scenes(range(2), 64))
    np.testing.assert_allclose(lab, rgb2lab(draw_scenes(range(2), 64)), atol=0.02)
    np.testing.assert_allclose(ciede2000(lab[0], lab[1]), deltaE_ciede2000(lab[0], lab[1]), atol=1e-6)
