import copy

import torch

from comics_genai.evaluation.reader_digest import reader_digest


def test_readers_of_other_weights_or_attributes_differ(tiny_scorer):
    twin = copy.deepcopy(tiny_scorer)
    assert reader_digest(twin) == reader_digest(tiny_scorer)
    twin.readable = twin.readable[:-1]
    assert reader_digest(twin) != reader_digest(tiny_scorer)
    trained = copy.deepcopy(tiny_scorer)
    with torch.no_grad():
        next(p for p in trained.parameters() if p.ndim == 1).add_(1)
    assert reader_digest(trained) != reader_digest(tiny_scorer)
