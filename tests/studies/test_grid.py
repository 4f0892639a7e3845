import pytest

from comics_genai.errors import UserError
from comics_genai.studies.grid import Grid, training_id


def read(tmp_path, text: str) -> Grid:
    (tmp_path / "some.toml").write_text(text)
    return Grid.read(tmp_path / "some.toml")


def test_a_grid_is_every_combination_once(tmp_path):
    grid = read(tmp_path, """
characters = [0, 3]
seeds = [0, 1]
[finetune]
steps = 50
[methods.lora]
finetune.learning_rate = 1e-4
[methods.careful_prompt]
[methods.ours]
kind = "dreambooth_lora"
characters = [3]
[vary.finetune]
rank = [4, 16]
[variants.plain]
[variants."no prior"]
finetune.prior = "none"
""")
    cells = grid.cells()
    count = {name: sum(cell.method == name for cell in cells) for name in grid.methods}
    # A prompt has no rank, no prior and no training seed.
    assert count == {"lora": 2 * 2 * 2 * 2, "careful_prompt": 2, "ours": 2 * 2 * 2}
    lora = next(cell for cell in cells if cell.method == "lora" and cell.variant == "no prior" and cell.seed == 1)
    settings = lora.finetuning("mini", "drawings")
    assert (settings.steps, settings.learning_rate, settings.rank, settings.prior) == (50, 1e-4, 4, "none")
    assert (settings.method, settings.seed) == ("lora", 1)
    ours = next(cell for cell in cells if cell.method == "ours").finetuning("mini", "drawings")
    assert (ours.lora_targets, ours.validate_every) == ("all", 0)  # the preset's, less its validation
    assert [cell.character for cell in cells] == sorted(cell.character for cell in cells)


def test_cells_that_differ_in_sampling_share_a_training(tmp_path):
    grid = read(tmp_path, "[methods.lora]\n[vary.sampling]\nsteps = [2, 5]\n[methods.gan_v2]\nbaseline.steps = 7\n")
    first, gan, second = grid.cells()
    assert training_id(first, "mini", "b") == training_id(second, "mini", "b") != training_id(first, "mini", "c")
    assert [first.sampling().steps, second.sampling().steps] == [2, 5]
    assert gan.baseline().loop.steps == 7 and gan.baseline().latent == 128


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("characters = [10]\n[methods.lora]", "characters = .10,.*0 to 9"),
        ("[methods.lora]\nrank = 3", "rank of lora: write finetune.rank"),
        ("[methods.lora]\nfinetune.rang = 3", "lora sets finetune.rang, which does not exist"),
        ("[methods.lora]\nfinetune.rank = 0", "rank is 0"),
        ("[methods.lora]\nfinetune.rank = 'x'", "rank|another type"),
        ("[methods.magic]", "has a method 'magic'"),
        ("[methods.lora]\nwords = 'none'", "give name, careful, both"),
        ("[methods.lora]\n[vary.finetune]\nrank = 3", "finetune.rank: give settings"),
        ("colour = 1\n[methods.lora]", "colour, which does not exist"),
        ("half = 'all'\n[methods.lora]", "test or validation"),
        ("methods = [", "cannot be read"),
        ("methods = ['lora']", "methods = .'lora',.: it must be a table of at least one method"),
        ("methods.lora = 5", "methods = .*: it must be a table of at least one method"),
        ("finetune = 3\n[methods.lora]", "finetune = 3: it must be a table"),
        ("keep = ['x']\n[methods.lora]", "keep = .*: it must be a table"),
        ("vary = [1]\n[methods.lora]", "vary = .1,.: it must be a table of tables"),
        ("variants = 'plain'\n[methods.lora]", "variants = 'plain': it must be a table of tables"),
        ("name = '../../x'\n[methods.lora]", "The study's name '../../x' holds '/'"),
    ],
)
def test_what_a_study_may_not_say_is_named(tmp_path, text, said):
    with pytest.raises(UserError, match=said):
        read(tmp_path, text)
