"""A new token for the character's name. Only its vectors in the text encoders are learnt.

    token = LearnedToken.like(base, "UnicornGirl", "girl")   # begins as the vector of "girl"
    token.save(folder / EMBEDS_FILE)
    LearnedToken.load(base, folder / EMBEDS_FILE)

This is textual inversion (Gal et al. 2023, sec. 3). If weights are trained with it, it is pivotal tuning (after Roich
et al. 2022). Without a token of its own, the name is split into tokens of other words and keeps some of their meaning.
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
from comics_genai.paths import plain_name

# The names of SDXL's two vectors in ComfyUI, A1111 and diffusers' examples; a single vector is named by its word.
NAMES = {"text_encoder": "clip_l", "text_encoder_2": "clip_g"}
LEGACY_EOS = 2  # with this id in their configuration, CLIP's text encoders take the largest id as the end of the prompt


class LearnedToken(nn.Module):
    """The token `word` in the tokenizers and text encoders of a base; it replaces any other learnt token.

    vectors: one parameter (1, width) for each text encoder. Raises UserError if the base already has a token for the
    word, or if the vectors do not fit its text encoders.
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
        # Loaded vectors are frozen; training turns their gradients on.
        self.vectors = nn.ParameterDict(
            {name: nn.Parameter(vector.to(base.device, torch.float32)) for name, vector in vectors.items()}
        )
        self._before: list[tuple[Any, str, Any]] = []  # (object, attribute, value) for `remove` to restore
        for name, encoder in encoders.items():
            self._add(name, encoder)
        base.learned_token = self

    def _add(self, name: str, encoder: nn.Module) -> None:
        tokenizer = copy.deepcopy(_tokenizer(self.base, name))
        # Only as a whole word: "Bo" is not the beginning of "boy".
        tokenizer.add_tokens(AddedToken(self.word, single_word=True, normalized=True))
        self._set(self.base.pipeline, name.replace("text_encoder", "tokenizer"), tokenizer)
        for module in encoder.modules():
            # The new token has the largest id.
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
        """Restore the base without the token."""
        for owner, attribute, value in reversed(self._before):
            if attribute:
                setattr(owner, attribute, value)
            else:
                owner.set_input_embeddings(value)
        self._before, self.base.learned_token = [], None

    @torch.no_grad()
    def settle(self) -> None:
        """Make the token a permanent part of the base's text encoders and tokenizers, so that these can be saved."""
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
        """A token to be trained, which starts from the mean vector of the noun's tokens."""
        vectors, noun = {}, class_noun(class_name)
        for name, encoder in base.text_encoders().items():
            ids = _tokenizer(base, name)(noun, add_special_tokens=False).input_ids
            weight = encoder.get_input_embeddings().weight.detach()
            vectors[name] = weight[ids].float().mean(0, keepdim=True)
        return cls(base, word, vectors)

    @classmethod
    def load(cls, base: Base, path: Path) -> "LearnedToken":
        """Load a frozen token from a file that `save` wrote. Raises UserError for a damaged file."""
        try:
            tensors, record = load_tensors(path)
            word = plain_name(record["word"], f"In {path} the word")
        except (OSError, ValueError, KeyError, safetensors.SafetensorError) as error:
            raise UserError(f"{path} cannot be read as a learnt token ({error}): train it again.") from error
        if not all(tensor.is_floating_point() and tensor.isfinite().all() for tensor in tensors.values()):
            raise UserError(f"{path} holds values that are not finite numbers: train the token again.")
        places = {saved: name for name, saved in NAMES.items()} | {word: "text_encoder"}
        token = cls(base, word, {places.get(name, name): tensor for name, tensor in tensors.items()})
        token.requires_grad_(False)
        return token

    def save(self, path: Path) -> None:
        """Write the vectors, (1, width) each: two as clip_l and clip_g, a single one under the word itself."""
        names = {"text_encoder": self.word} if len(self.vectors) == 1 else NAMES
        save_tensors(path, {names[name]: vector for name, vector in self.vectors.items()}, {"word": self.word})


def _tokenizer(base: Base, encoder: str) -> Any:
    return getattr(base.pipeline, encoder.replace("text_encoder", "tokenizer"))


class _Extended(nn.Module):
    """A token embedding with one more token, whose vector is a parameter that another module holds."""

    def __init__(self, embedding: nn.Embedding, token_id: int, vector: nn.Parameter):
        super().__init__()
        self.embedding, self.token_id = embedding, token_id
        self._vector = (vector,)  # in a tuple, so that the parameter is not registered here a second time

    @property
    def weight(self) -> Tensor:
        return self.embedding.weight

    @property
    def embedding_dim(self) -> int:
        return self.embedding.embedding_dim

    def forward(self, ids: Tensor) -> Tensor:
        """Embed ids (...) as (..., width)."""
        new = ids == self.token_id
        return torch.where(new[..., None], self._vector[0], self.embedding(ids.masked_fill(new, 0)))
