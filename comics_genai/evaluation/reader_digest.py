"""Tells readers apart: scores of two different ones are not compared."""

import hashlib

from comics_genai.evaluation.attribute_reader import AttributeReader


def reader_digest(reader: AttributeReader) -> str:
    """Eight hex digits of a reader's one-dimensional weights, which change with any training, and what it reads."""
    digest = hashlib.sha256(" ".join(reader.readable).encode())
    for _, parameter in sorted(reader.named_parameters()):
        if parameter.ndim == 1:
            digest.update(parameter.detach().float().cpu().numpy().tobytes())
    return digest.hexdigest()[:8]
