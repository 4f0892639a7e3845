"""Upload a finished run, the newest checkpoint of an unfinished one, or drawings to the Hugging Face Hub.

    push("runs/mygirl-lora", "me/mygirl")           a model repository: weights, settings, card, pictures
    push("runs/mygirl-lora", "me/mygirl-half", checkpoint=True)      to go on from elsewhere
    push("my_drawings", "me/mygirl-drawings")       a dataset repository in the imagefolder layout

Repositories are private unless `public` is set. Optimizer states are uploaded only with `checkpoint`; paths of this
machine never are.
"""

import json
import shutil
import tempfile
from pathlib import Path, PurePath
from typing import Any

from huggingface_hub import HfApi

from comics_genai import drawings, environment, paths
from comics_genai.bases.adapters import digest_of, run_settings, weights_of
from comics_genai.errors import UserError
from comics_genai.files import json_line, load_tensors, read_object
from comics_genai.finetuning.settings import FinetuneSettings
from comics_genai.hub import access
from comics_genai.publishing import cards, model_card
from comics_genai.publishing.retries import retried
from comics_genai.run import (
    BEST,
    CHECKPOINTS,
    CHOSEN_FILE,
    EMBEDS_FILE,
    FULL_FILE,
    LOG_FILE,
    LORA_FILE,
    PLACES,
    SETTINGS_FILE,
    checkpoint_files,
    is_run,
    step_in_name,
)
from comics_genai.sampling.records import METADATA, read_metadata, read_record

PICTURES = 4  # number of pictures in a card's gallery
# Files of an earlier push, which are deleted; all other files in the repository stay.
OURS = {
    "model": [LORA_FILE, FULL_FILE, EMBEDS_FILE, "image_?.png", LOG_FILE, f"{BEST}/*", f"{CHECKPOINTS}/*"],
    "dataset": ["train/*"],
}


def push(
    source: str | Path,
    repo: str,
    *,
    public: bool = False,
    checkpoint: bool = False,
    pictures: Path | None = None,
    licence: str = "",
) -> str:
    """Upload the folder `source` of a run or of drawings to `repo` (OWNER/NAME, made if absent); returns its address.

    The files of an earlier push are replaced; in a data set that is all of train/. pictures: a folder that `generate`
    or a notebook drew into, from which the card takes pictures of this run; by default 6_generated/NAME OF THE RUN.
    Raises UserError without a token that may write, without a network, if the repository is public but should be
    private, and if the source is neither a run nor drawings.
    """
    repo, source = paths.repository(repo), Path(source)
    with tempfile.TemporaryDirectory() as folder:
        staged = Path(folder)
        if is_run(source):
            kind = "model"
            if checkpoint:
                _stage_checkpoint(source, staged, repo)
            else:
                _stage_run(source, staged, repo, pictures, licence)
        else:
            kind = "dataset"
            _stage_drawings(source, staged, repo, licence)
        return _upload(staged, repo, kind, public)


def _stage_run(run: Path, staged: Path, repo: str, pictures: Path | None, licence: str) -> None:
    settings = FinetuneSettings.checked(run_settings(run))
    try:
        weights = weights_of(run)
    except UserError as error:
        raise UserError(
            f"The run {run} is not finished: start it again to go on, or push its checkpoint with --checkpoint."
        ) from error
    # These are the weights to draw with: the checkpoint that validation chose, or the average.
    _stage_whole(weights, staged / (LORA_FILE if weights.name == LORA_FILE else FULL_FILE))
    if settings.get("learn_token"):
        _stage_whole(weights.with_name(EMBEDS_FILE), staged / EMBEDS_FILE)
    _stage_settings(run, staged)
    drawn = pictures or environment.generated() / run.resolve().name
    shown = []
    for i, (place, row) in enumerate(_drawn_with(digest_of(weights), drawn)[:PICTURES]):
        picture = paths.inside(place, row["file_name"], f"{place / METADATA}")
        if read_record(picture) is None:
            raise UserError(f"{picture} is gone or no whole picture of `generate`: draw it again, then push.")
        shutil.copy(picture, staged / f"image_{i}.png")
        shown.append((str(row.get("prompt", "")), f"image_{i}.png"))
    (staged / "README.md").write_text(cards.run_card(repo, settings, shown, licence), encoding="utf-8")
    model_card.complete(staged / "README.md", run, settings, drawn)


def _drawn_with(digest: str, folder: Path) -> list[tuple[Path, dict[str, Any]]]:
    """(folder, record) of every picture of the adapter in the folder, then in those inside it: a test has one each."""
    places = [folder, *sorted(place for place in folder.glob("*") if place.is_dir() and not place.is_symlink())]
    return [(place, row) for place in places for row in read_metadata(place) if row.get("adapter_digest") == digest]


def _stage_checkpoint(run: Path, staged: Path, repo: str) -> None:
    whole = checkpoint_files(run)
    if not whole:
        raise UserError(f"The run {run} has no checkpoint to push: train it further, or stop it with Ctrl-C first.")
    (staged / CHECKPOINTS).mkdir()
    _stage_whole(whole[-1], staged / CHECKPOINTS / whole[-1].name)
    if (run / LOG_FILE).is_file():
        shutil.copy(paths.inside(run, LOG_FILE, f"The run {run}"), staged)
    for name in (LORA_FILE, FULL_FILE, EMBEDS_FILE, CHOSEN_FILE):
        if (run / BEST / name).is_file():
            (staged / BEST).mkdir(exist_ok=True)
            _stage_whole(paths.inside(run, f"{BEST}/{name}", f"The run {run}"), staged / BEST / name)
    _stage_settings(run, staged)
    step = step_in_name(whole[-1])
    card = cards.unfinished_card(repo, FinetuneSettings.checked(run_settings(run)), step)
    (staged / "README.md").write_text(card, encoding="utf-8")


def _stage_whole(file: Path, target: Path) -> None:
    """Copy a file of a run. Tensors are read first, because a damaged file must not be uploaded."""
    if file.suffix == ".safetensors":
        load_tensors(file)
    shutil.copy(file, target)


def _stage_settings(run: Path, staged: Path) -> None:
    """Copy the settings; of a path of this machine only the last part is kept."""
    record = _without_places(read_object(run / SETTINGS_FILE))
    (staged / SETTINGS_FILE).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def _without_places(value: Any, name: str = "") -> Any:
    if isinstance(value, dict):
        return {key: _without_places(inner, key) for key, inner in value.items()}
    if isinstance(value, list):
        return [_without_places(inner) for inner in value]
    if isinstance(value, str) and (paths.is_place(value) or (name in PLACES and paths.is_local(value))):
        return PurePath(value.replace("\\", "/")).name
    return value


def _stage_drawings(source: Path, staged: Path, repo: str, licence: str) -> None:
    folder = drawings.folder_of(source)
    if folder is None:
        raise UserError(f"There is no folder {source}: give the folder of a fine-tuning or of drawings.")
    if leading := paths.links_outside(folder):
        raise UserError(
            f"{leading[0]} is a link out of {folder}, and only what lies in it is uploaded: put the file itself there."
        )
    rows = []
    (staged / "train").mkdir()
    for i, (path, caption) in enumerate(drawings.files_of(folder).values()):
        drawings.upright(path).save(staged / "train" / f"{i:02}.png")
        rows.append({"file_name": f"{i:02}.png", "text": caption})
    captioned = any(row["text"] for row in rows)
    if captioned:
        lines = [json_line(row) + "\n" for row in rows]
        (staged / "train" / drawings.METADATA).write_text("".join(lines), encoding="utf-8")
    (staged / "README.md").write_text(cards.dataset_card(repo, len(rows), captioned, licence), encoding="utf-8")


def _upload(staged: Path, repo: str, kind: str, public: bool) -> str:
    api = HfApi(token=access.token())
    if api.token is None:
        raise UserError(
            "There is no token for the Hub here: set HF_TOKEN to a token with the right to write, from "
            f"https://huggingface.co/settings/tokens; {environment.no_secret('HF_TOKEN')}."
        )
    with access.answers(repo, "upload", kind):
        with access.first_answer():
            url = str(retried(lambda: api.create_repo(repo, repo_type=kind, private=not public, exist_ok=True)))
        if not public and not retried(lambda: api.repo_info(repo, repo_type=kind)).private:
            raise UserError(f"{repo} is there already and public: push with --public, or choose another name.")
        # The Hub's client tries the card's check and the commit only once.
        retried(
            lambda: api.upload_folder(
                repo_id=repo,
                repo_type=kind,
                folder_path=staged,
                commit_message="Upload by Comics-GenAI",
                delete_patterns=OURS[kind],
            ),
        )
    return url
