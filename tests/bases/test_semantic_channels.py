import json
import shutil

import pytest

from comics_genai.bases.base import Base
from comics_genai.bases.semantic_channels import FILE
from comics_genai.errors import UserError


def test_a_base_says_which_latent_channels_hold_meaning(tiny_sdxl, tmp_path):
    assert Base.load(tiny_sdxl).semantic_channels is None
    folder = tmp_path / "base"
    shutil.copytree(tiny_sdxl, folder)
    (folder / "vae" / FILE).write_text(json.dumps({"first": 4, "names": ["head", "arms"]}))
    assert Base.load(folder).semantic_channels == slice(4, 6)
    for said in ({"first": 6}, {"first": "4"}, {}, {"first": 0}):
        (folder / "vae" / FILE).write_text(json.dumps(said))
        with pytest.raises(UserError, match=FILE):
            Base.load(folder)
