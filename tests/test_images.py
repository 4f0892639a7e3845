"""Pictures become tensors and come back."""

import numpy as np
import PIL.Image
import torch

from comics_genai.images import as_tensor, to_pictures, to_tensor


def test_there_and_back_no_level_changes():
    pixels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, 3)
    tensor = to_tensor(pixels)
    assert tensor.shape == (1, 3, 16, 16) and tensor.min() == -1 and tensor.max() == 1
    assert np.array_equal(np.asarray(to_pictures(tensor)[0]), pixels[0])


def test_values_out_of_range_are_clipped():
    white, black = to_pictures(torch.stack([torch.full((3, 2, 2), 5.0), torch.full((3, 2, 2), -5.0)]))
    assert white.getpixel((0, 0)) == (255, 255, 255) and black.getpixel((0, 0)) == (0, 0, 0)


def test_transparency_becomes_white_and_sizes_agree():
    clear = PIL.Image.new("RGBA", (8, 8), (200, 0, 0, 0))
    tensor = as_tensor([clear, PIL.Image.new("RGB", (4, 4), (255, 0, 0))], 4)
    assert tensor.shape == (2, 3, 4, 4) and (tensor[0] == 1).all()
    assert tensor[1, :, 0, 0].tolist() == [1, 0, 0]
    assert as_tensor([], 4).shape == (0, 3, 4, 4)
