"""A digest that tells attribute readers apart, because scores by different readers must not be compared."""

import hashlib

from comics_genai.evaluation.attribute_reader import AttributeReader


def reader_digest(reader: AttributeReader) -> str:
    """Eight hex digits of what a reader reads and of its one-dimensional weights, which any training changes."""
    digest = hashlib.sha256(" ".join(reader.readable).encode())
    for _, parameter in sorted(reader.named_parameters()):
        if parameter.ndim == 1:
            digest.update(parameter.detach().float().cpu().numpy().tobytes())
    return digest.hexdigest()[:8]
