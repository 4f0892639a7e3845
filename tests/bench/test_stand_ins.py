"""Stand-ins of torchvision's transforms."""

import numpy as np
import PIL.Image

from comics_genai.bench import stand_ins


def test_the_stand_ins_mean_what_torchvision_means():
    image = PIL.Image.fromarray(np.arange(40 * 80 * 3, dtype=np.uint32).astype(np.uint8).reshape(40, 80, 3))
    assert stand_ins.Resize(20, stand_ins.InterpolationMode.LANCZOS)(image).size == (40, 20)
    np.testing.assert_array_equal(stand_ins.CenterCrop(20)(image), np.asarray(image)[10:30, 30:50])
    top, left, height, width = stand_ins.RandomCrop.get_params(image, (20, 30))
    np.testing.assert_array_equal(
        stand_ins.crop(image, top, left, height, width), np.asarray(image)[top : top + 20, left : left + 30]
    )
    np.testing.assert_array_equal(stand_ins.RandomHorizontalFlip(1.0)(image), np.asarray(image)[:, ::-1])
    pixels = stand_ins.Normalize([0.5], [0.5])(stand_ins.ToTensor()(image))
    np.testing.assert_allclose(pixels.permute(1, 2, 0), np.asarray(image) / 127.5 - 1, atol=1e-6)
