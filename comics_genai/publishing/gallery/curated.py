"""The committed gallery: the first four seeds of each test prompt, for every method in a folder that git keeps.

python -m comics_genai gallery --curate
"""

import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from comics_genai.errors import UserError
from comics_genai.publishing.gallery.pictures import OWN

SEEDS = 4  # of each test prompt: a fixed rule, so that nobody can choose the better pictures
MOST = 25_000_000  # the most bytes that pictures, records and page may take in the repository


def kept_files(folder: Path) -> set[Path]:
    """The files below `folder` that git keeps, or would keep after `git add`. Raises UserError outside a repository."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise UserError(
            f"--curate asks git which runs are kept, and {folder} is in no git repository: build without --curate."
        ) from error
    named = (folder / name.decode("utf-8", "surrogateescape") for name in done.stdout.split(b"\0") if name)
    return {path.resolve() for path in named if path.is_file()}


def remove_unused(gallery: Path, shown: Iterable[Mapping[str, Any]]) -> None:
    """Delete thumbnails and copies of an earlier page that this page does not use.

    shown: everything with a "source" and a "thumbnail".
    """
    used = {gallery / unquote(one[name]) for one in shown for name in ("source", "thumbnail") if name in one}
    for path in sorted((gallery / OWN).rglob("*")):
        if path.is_file() and path not in used:
            path.unlink()


def check_size(gallery: Path) -> int:
    """The bytes of the gallery that git would keep. Raises UserError for more than MOST."""
    size = sum(path.stat().st_size for path in kept_files(gallery))
    if size > MOST:
        raise UserError(
            f"The repository would keep {size / 1e6:.1f} MB in {gallery}, and {MOST / 1e6:.0f} MB are the most: let "
            "the studies' [keep] take fewer prompts, or list a run's folder in .gitignore."
        )
    return size
