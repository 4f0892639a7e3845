"""Use generated pictures that a person picked as drawings: what one model draws well teaches the next one.

python -m comics_genai finetune --add-picked picked.json --run runs/unicorngirl-second
"""

from dataclasses import replace
from pathlib import Path

from comics_genai import drawings, environment
from comics_genai.drawings.captions import normalized
from comics_genai.errors import UserError
from comics_genai.finetuning.settings import FinetuneSettings
from comics_genai.sampling.picked import picture_of, prompt_of, read_picked

OPENING = "a drawing of "  # prompts here begin so; `instance_prompt` adds its own if the character is not named


def with_picked(settings: FinetuneSettings, file: Path) -> FinetuneSettings:
    """Add the pictures of a list that the gallery saved to the settings. Raises UserError as `read_picked` does."""
    gallery = _gallery(settings)
    names = [path.resolve().relative_to(gallery.resolve()).as_posix() for path in read_picked(file, gallery)]
    return replace(settings, picked=tuple(dict.fromkeys([*settings.picked, *names])))


def picked_drawings(settings: FinetuneSettings) -> list[drawings.Drawing]:
    """The picked pictures as drawings, each with its prompt as its caption.

    Raises UserError for a picture that is missing, outside the gallery, without a prompt, or of no use as a drawing.
    """
    if not settings.picked:
        return []
    gallery = _gallery(settings)
    return [_drawing(name, gallery, settings) for name in settings.picked]


def _gallery(settings: FinetuneSettings) -> Path:
    folder = environment.find(settings.gallery)
    if folder is None or not folder.is_dir():
        raise UserError(f"There is no gallery {settings.gallery}: give --gallery with the folder of its index.html.")
    return folder


def _drawing(name: str, gallery: Path, settings: FinetuneSettings) -> drawings.Drawing:
    path = picture_of(name, gallery, "The picked pictures")
    prompt = normalized(prompt_of(path))
    if not prompt:
        raise UserError(f"The picked picture {name} has no prompt, so nothing says what it shows: take it out.")
    if settings.identifier.lower() not in prompt.lower():
        prompt = prompt.removeprefix(OPENING)
    return replace(drawings.load_one(path, paper=settings.paper), name=name, caption=prompt)
