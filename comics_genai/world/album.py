"""Writes a held-out character's six drawings as a data set, in the Hub's imagefolder layout."""

import json
import os
from pathlib import Path

from .captions import scene_prompt
from .cast import reference_scenes
from .drawing import draw
from .factors import Character


def reference_caption(scene, token: str) -> str:
    """The caption of a drawing: pose and place in words, the identity only by its token."""
    return scene_prompt(scene, f"{token}, a girl")


def write_album(character: Character, token: str, folder: Path, size: int = 1024) -> Path:
    """Draws the six reference drawings into `folder`/train with metadata.jsonl; returns `folder`."""
    train = Path(folder) / "train"
    train.mkdir(parents=True, exist_ok=True)
    rows = []
    for i, scene in enumerate(reference_scenes(character)):
        name = f"{i:02d}.png"
        partial = train / f".{name}.partial"
        draw(scene, size).save(partial, format="PNG", optimize=True)
        os.replace(partial, train / name)
        rows.append(json.dumps({"file_name": name, "text": reference_caption(scene, token)}))
    partial = train / ".metadata.partial"
    partial.write_text("\n".join(rows) + "\n", encoding="utf-8")
    os.replace(partial, train / "metadata.jsonl")
    return Path(folder)
