"""The committed gallery: of what git keeps, by the rule that the page states, no more than fits."""

import json
import subprocess

import pytest

from comics_genai.__main__ import main
from comics_genai.errors import UserError
from comics_genai.publishing.gallery import GallerySettings, build, curated
from tests.gallery_runs import record, save_picture, save_run


@pytest.fixture
def repository(tmp_path):
    """Two methods with six seeds on two prompts, of which git keeps both; a run of one's own, which it does not."""
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    (tmp_path / ".gitignore").write_text(
        "/6_generated/*/\n!/6_generated/lora/\n!/6_generated/gan/\n!/6_generated/gallery/\n"
    )
    generated = tmp_path / "6_generated"
    rows = [record(f"{p}-{seed}.png", prompt, seed) for p, prompt in enumerate(("a", "b")) for seed in range(6)]
    save_run(generated / "lora", rows, side=300)
    save_picture(generated / "lora" / "true_drawings" / "a.png", 7, side=300)
    (generated / "lora" / "scores.jsonl").write_text(
        json.dumps({"file_name": "0-0.png", "true_drawing": "true_drawings/a.png"}) + "\n"
    )
    save_run(generated / "gan", [record(f"{i}.png", "", 1, index=i) for i in range(6)])
    save_run(generated / "mine", [record("0.png", "a", 0)], side=300)
    (generated / "mine" / "metadata.jsonl").open("a").write("torn")
    return generated


def shown(index):
    page = json.loads(index.read_text(encoding="utf-8").split('id="gallery-data">')[1].split("</script>")[0])
    return page, [each["id"] for each in page["pictures"]]


def test_every_method_that_git_keeps_has_its_first_four_seeds_of_each_prompt(repository, drawings):
    build(GallerySettings((), into=repository, drawings=(drawings,)))  # an earlier page, of everything
    before = set((repository / "gallery").rglob("*.webp"))
    built = build(GallerySettings((), into=repository, drawings=(drawings,), curate=True))
    page, ids = shown(built.index)
    assert ids == [f"gan/{i}.png" for i in range(4)] + [f"lora/{p}-{seed}.png" for p in (0, 1) for seed in range(4)]
    assert "the first four seeds of each test prompt" in built.index.read_text() and page["problems"] == []
    left = set((repository / "gallery").rglob("*.webp"))
    named = {repository / each[key] for each in page["pictures"] + page["drawings"] for key in ("source", "thumbnail")}
    named |= {repository / each["true"][key] for each in page["pictures"] if "true" in each for key in each["true"]
              if key in ("source", "thumbnail")}  # fmt: skip
    assert all(path.is_file() for path in named) and left < before and left <= named
    kept = curated.kept_files(repository)
    assert {path.resolve() for path in named} <= kept and built.index.resolve() in kept


def test_more_than_fits_and_a_folder_outside_a_repository_are_refused(
    repository, drawings, monkeypatch, capsys
):
    told = ["gallery", "--curate", "--into", str(repository), "--drawings", str(drawings)]
    assert main(told) == 0 and "12 pictures are in the gallery" in capsys.readouterr().out
    monkeypatch.setattr(curated, "MOST", 10_000)
    assert main(told) == 2 and "0 MB are the most" in capsys.readouterr().err
    monkeypatch.setenv("GIT_DIR", str(repository / "nowhere"))
    with pytest.raises(UserError, match="is in no git repository: build without --curate"):
        build(GallerySettings((), into=repository, drawings=(drawings,), curate=True))
    with pytest.raises(UserError, match="leave first_seeds out"):
        GallerySettings(curate=True, first_seeds=2)
