"""The six drawings, those of a companion, and small sets that plots must bear."""

from pathlib import Path

import PIL.Image
import pytest

from comics_genai import world
from comics_genai.describe import studies
from tests.small_drawings import BLUE, GREEN, RED, WHITE, figure_on, studied

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def girl() -> list[studies.Study]:
    return studies.load(ROOT / "1_data" / "unicorn_girl")


@pytest.fixture(scope="session")
def companion(tmp_path_factory) -> list[studies.Study]:
    """Six drawings of another character of the comic world."""
    folder = world.write_album(world.COMPANIONS[3], "Companion", tmp_path_factory.mktemp("companion"), 256)
    return studies.load(folder)


@pytest.fixture(
    params=[
        [PIL.Image.new("RGB", (64, 64), RED)] * 2,
        [PIL.Image.new("L", (64, 64), 128).convert("RGB")] * 3,
        [figure_on(WHITE, RED), figure_on(GREEN, BLUE, (90, 120), (20, 20, 60, 110))],
    ],
    ids=["all alike", "all grey", "different"],
)
def set_of(request) -> list[studies.Study]:
    """Drawings at the edges of what plots are given."""
    return [studied(picture, f"{i}.png", "a fox in the rain") for i, picture in enumerate(request.param)]
