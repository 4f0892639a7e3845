import copy

import torch

from comics_genai.evaluation.reader_digest import reader_digest


def test_readers_of_other_weights_or_attributes_differ(tiny_reader):
    twin = copy.deepcopy(tiny_reader)
    assert reader_digest(twin) == reader_digest(tiny_reader)
    twin.readable = twin.readable[:-1]
    assert reader_digest(twin) != reader_digest(tiny_reader)
    trained = copy.deepcopy(tiny_reader)
    with torch.no_grad():
        next(p for p in trained.parameters() if p.ndim == 1).add_(1)
    assert reader_digest(trained) != reader_digest(tiny_reader)
