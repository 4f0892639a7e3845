"""A word of the character's own: a new token, whose vectors in the text encoders are learnt and nothing else of them.

    token = LearnedToken.like(base, "UnicornGirl", "girl")   # begins as the vector of "girl"
    token.save(folder / EMBEDS_FILE)
    LearnedToken.load(base, folder / EMBEDS_FILE)

This is textual inversion (Gal et al. 2023, sec. 4.1); with weights trained beside it, pivotal tuning (after Roich et
al. 2022). Without it an identifier is spelt out in the tokens of other words, and keeps a little of what these mean.
"""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import torch
from tokenizers import AddedToken
from torch import Tensor, nn

from comics_genai.bases.base import Base
from comics_genai.drawings.captions import class_noun
from comics_genai.errors import UserError
from comics_genai.files import load_tensors, save_tensors

# SDXL's two vectors as ComfyUI, A1111 and diffusers' examples name them; of one encoder alone it is named by its word.
NAMES = {"text_encoder": "clip_l", "text_encoder_2": "clip_g"}
LEGACY_EOS = 2  # with this in their configuration CLIP's text encoders take the largest id for the end of the prompt


class LearnedToken(nn.Module):
    """The token `word` in the tokenizers and text encoders of a base, in place of any learnt before.

    `vectors`: of each text encoder its own, (1, width), as parameters. Raises UserError for a word that the base has a
    token of already, and vectors that are not of its text encoders.
    """

    def __init__(self, base: Base, word: str, vectors: Mapping[str, Tensor]):
        super().__init__()
        encoders = base.text_encoders()
        widths = {name: (1, encoder.get_input_embeddings().embedding_dim) for name, encoder in encoders.items()}
        if widths != {name: tuple(vector.shape) for name, vector in vectors.items()}:
            raise UserError(f"The learnt token {word!r} does not fit the base {base.name}: use that it was made on.")
        if base.learned_token is not None:
            base.learned_token.remove()
        if any(word.lower() in _tokenizer(base, name).get_vocab() for name in encoders):
            raise UserError(f"The base {base.name} has a token {word!r} already: choose another identifier.")
        self.base, self.word = base, word
        # Loaded vectors stay as they are; training turns the gradients on.
        self.vectors = nn.ParameterDict(
            {name: nn.Parameter(vector.to(base.device, torch.float32)) for name, vector in vectors.items()}
        )
        self._before: list[tuple[Any, str, Any]] = []  # (object, attribute, value) that `remove` puts back
        for name, encoder in encoders.items():
            self._add(name, encoder)
        base.learned_token = self

    def _add(self, name: str, encoder: nn.Module) -> None:
        tokenizer = copy.deepcopy(_tokenizer(self.base, name))
        # Not within a longer word: "Bo" is not the beginning of "boy".
        tokenizer.add_tokens(AddedToken(self.word, single_word=True, normalized=True))
        self._set(self.base.pipeline, name.replace("text_encoder", "tokenizer"), tokenizer)
        for module in encoder.modules():
            # The new token's id is the largest of all.
            if getattr(module, "eos_token_id", None) == LEGACY_EOS:
                self._set(module, "eos_token_id", tokenizer.eos_token_id)
        embedding = encoder.get_input_embeddings()
        new_id = tokenizer.convert_tokens_to_ids(self.word)
        encoder.set_input_embeddings(_Extended(embedding, new_id, self.vectors[name]))
        self._before.append((encoder, "", embedding))

    def _set(self, owner: Any, attribute: str, value: Any) -> None:
        self._before.append((owner, attribute, getattr(owner, attribute)))
        setattr(owner, attribute, value)

    def remove(self) -> None:
        """Leave the base as it was without the token."""
        for owner, attribute, value in reversed(self._before):
            if attribute:
                setattr(owner, attribute, value)
            else:
                owner.set_input_embeddings(value)
        self._before, self.base.learned_token = [], None

    @torch.no_grad()
    def settle(self) -> None:
        """Make the token a part of the base's own text encoders and tokenizers for good, as saving these needs."""
        for owner, attribute, value in self._before:
            if not attribute:
                owner.set_input_embeddings(value)
        for name, encoder in self.base.text_encoders().items():
            tokenizer = _tokenizer(self.base, name)
            rows = max(len(tokenizer), encoder.get_input_embeddings().num_embeddings)
            encoder.resize_token_embeddings(rows, mean_resizing=False)
            encoder.get_input_embeddings().weight[tokenizer.convert_tokens_to_ids(self.word)] = self.vectors[name][0]
            encoder.config.eos_token_id = tokenizer.eos_token_id
        self._before, self.base.learned_token = [], None

    @classmethod
    def like(cls, base: Base, word: str, class_name: str) -> "LearnedToken":
        """A token that begins with the mean vector of the tokens of a noun, to be trained."""
        vectors, noun = {}, class_noun(class_name)
        for name, encoder in base.text_encoders().items():
            ids = _tokenizer(base, name)(noun, add_special_tokens=False).input_ids
            weight = encoder.get_input_embeddings().weight.detach()
            vectors[name] = weight[ids].float().mean(0, keepdim=True)
        return cls(base, word, vectors)

    @classmethod
    def load(cls, base: Base, path: Path) -> "LearnedToken":
        """The token of a file that `save` wrote, frozen. Raises UserError for a damaged one."""
        try:
            tensors, record = load_tensors(path)
            word = record["word"]
        except (OSError, ValueError, KeyError, safetensors.SafetensorError) as error:
            raise UserError(f"{path} cannot be read as a learnt token ({error}): train it again.") from error
        places = {saved: name for name, saved in NAMES.items()} | {word: "text_encoder"}
        token = cls(base, word, {places.get(name, name): tensor for name, tensor in tensors.items()})
        token.requires_grad_(False)
        return token

    def save(self, path: Path) -> None:
        """Write the vectors, (1, width) each: two as clip_l and clip_g, a single one under its word."""
        names = {"text_encoder": self.word} if len(self.vectors) == 1 else NAMES
        save_tensors(path, {names[name]: vector for name, vector in self.vectors.items()}, {"word": self.word})


def _tokenizer(base: Base, encoder: str) -> Any:
    return getattr(base.pipeline, encoder.replace("text_encoder", "tokenizer"))


class _Extended(nn.Module):
    """A token embedding with one more token, whose vector is a parameter that another module holds."""

    def __init__(self, embedding: nn.Embedding, token_id: int, vector: nn.Parameter):
        super().__init__()
        self.embedding, self.token_id = embedding, token_id
        self._vector = (vector,)  # in a tuple, so that it is not registered here too

    @property
    def weight(self) -> Tensor:
        return self.embedding.weight

    @property
    def embedding_dim(self) -> int:
        return self.embedding.embedding_dim

    def forward(self, ids: Tensor) -> Tensor:
        """(..., width) of ids (...)."""
        new = ids == self.token_id
        return torch.where(new[..., None], self._vector[0], self.embedding(ids.masked_fill(new, 0)))
