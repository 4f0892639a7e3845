"""The command line: fast help, one sentence for a mistake, and the main job from drawings to pictures."""

import json
import subprocess
import sys

import numpy as np
import PIL.Image
import pytest

from comics_genai.__main__ import COMMANDS, main


@pytest.fixture
def drawn(tmp_path):
    folder = tmp_path / "drawings"
    (folder / "train").mkdir(parents=True)
    rows = []
    for i in range(2):
        pixels = np.random.default_rng(i).integers(0, 255, (64, 64, 3), dtype=np.uint8)
        PIL.Image.fromarray(pixels).save(folder / "train" / f"{i}.png")
        rows.append({"file_name": f"{i}.png", "text": "a drawing of UnicornGirl, a girl, jumping"})
    (folder / "train" / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_help_names_every_command_and_imports_nothing_heavy():
    program = "import sys; from comics_genai.__main__ import main; main(['--help']); assert 'torch' not in sys.modules"
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    known = "demo pretrain finetune generate export push score study gallery plan notebook bench"
    known += " tables report kaggle badges wheel push-drawings"
    assert list(COMMANDS) == known.split()
    assert all(f"  {name} " in shown.stdout for name in COMMANDS)


def test_a_mistake_is_one_sentence_and_status_2(capsys, tmp_path):
    assert main(["draw"]) == 2
    expected = f"There is no command 'draw': choose one of {', '.join(COMMANDS)}.\n"
    assert capsys.readouterr().err == expected
    assert main(["generate", str(tmp_path), "--prompt", "a girl"]) == 2
    assert capsys.readouterr().err.startswith(f"{tmp_path} is not the folder of a fine-tuning")


def test_an_unknown_option_is_refused_with_its_name(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["finetune", "--ranks", "4"])
    assert stopped.value.code == 2 and "--rank" in capsys.readouterr().err


def test_from_drawings_to_new_pictures(drawn, tiny_sdxl, tmp_path, capsys):
    run, pictures = tmp_path / "run", tmp_path / "pictures"
    options = ["--drawings", str(drawn), "--identifier", "UnicornGirl", "--class", "girl", "--base", str(tiny_sdxl)]
    options += ["--method", "lora", "--steps", "2", "--variants", "1", "--sampling.steps", "2"]
    assert main(["finetune", *options, "--run", str(run), "--device", "cpu"]) == 0
    assert "finished after 2 steps" in capsys.readouterr().out
    prompts = ["--prompt", "a drawing of UnicornGirl, a girl", "--prompt", "a girl"]
    drawing = ["generate", str(run), *prompts, "--seeds", "0-1", "--steps", "2", "--folder", str(pictures)]
    assert main([*drawing, "--device", "cpu"]) == 0
    rows = [json.loads(line) for line in (pictures / "metadata.jsonl").read_text().splitlines()]
    assert [(row["prompt"], row["seed"], row["adapter"]) for row in rows] == [
        ("a drawing of UnicornGirl, a girl", 0, "run"),
        ("a drawing of UnicornGirl, a girl", 1, "run"),
        ("a girl", 0, "run"),
        ("a girl", 1, "run"),
    ]
    assert PIL.Image.open(pictures / "grid.png").size == (64, 64)
    begun = [*drawing, "--start-image", str(drawn / "train" / "0.png"), "--strength", "0.5", "--device", "cpu"]
    assert main(begun) == 0
    rows = [json.loads(line) for line in (pictures / "metadata.jsonl").read_text().splitlines()]
    assert [(row.get("start_image"), row.get("strength")) for row in rows] == [(None, None)] * 4 + [("0.png", 0.5)] * 4
    assert main([*drawing, "--start-image", str(drawn / "9.png")]) == 2
    assert "There is no picture" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--t0", "0.5"], "The option --t0 is called --strength now: write --strength."),
        (["--start=a.png"], "The option --start is called --start-image now: write --start-image."),
        (["--strength", "0.5"], "strength is 0.5, but there is no start image for its noise to hide: give --start-"),
    ],
)
def test_an_option_by_its_earlier_name_is_refused_with_todays(given, told, tiny_sdxl, tmp_path, capsys):
    command = ["generate", "--base", str(tiny_sdxl), "--prompt", "a girl", "--folder", str(tmp_path), "--device", "cpu"]
    assert main([*command, *given]) == 2
    assert capsys.readouterr().err.strip().splitlines()[-1].startswith(told)


