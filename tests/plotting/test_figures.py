"""Contact sheets keep every picture whole and every caption; plots show the figures they are given."""

import numpy as np
import PIL.Image
import pytest

from comics_genai.plotting import figures

RED, BLUE = PIL.Image.new("RGB", (64, 64), (255, 0, 0)), PIL.Image.new("RGB", (64, 64), (0, 0, 255))


def area(sheet, color) -> int:
    return int((np.asarray(sheet) == color).all(2).sum())


def test_a_grid_is_edge_to_edge_row_by_row():
    sheet = np.asarray(figures.grid([RED, BLUE, RED], columns=2))
    assert sheet.shape == (128, 128, 3)
    assert (sheet[:64, :64] == (255, 0, 0)).all() and (sheet[:64, 64:] == (0, 0, 255)).all()
    assert (sheet[64:, :64] == (255, 0, 0)).all() and (sheet[64:, 64:] == 255).all()


def test_the_contact_sheet_shows_the_drawings_above_the_new_poses():
    sheet = figures.contact_sheet([RED] * 6, [BLUE] * 7, side=64)
    assert area(sheet, (255, 0, 0)) == 6 * 64 * 64 and area(sheet, (0, 0, 255)) == 7 * 64 * 64
    pixels = np.asarray(sheet)
    red, blue = ((pixels == color).all(2).any(1).nonzero()[0] for color in ((255, 0, 0), (0, 0, 255)))
    assert red.max() < blue.min()


def test_a_labelled_grid_has_its_pictures_right_of_and_below_the_labels():
    sheet = np.asarray(
        figures.labelled_grid({"weak": [RED, RED], "strong": [BLUE, BLUE]}, ["seed 0", "seed 1"], side=64)
    )
    assert sheet.shape == (16 + 128, 3 * 64, 3)
    assert (sheet[16:80, 64:] == (255, 0, 0)).all() and (sheet[80:, 64:] == (0, 0, 255)).all()
    assert (sheet[16:, :64] < 128).any() and (sheet[:16, 64:] < 128).any()  # the words


def test_a_run_without_a_validation_has_no_strip_and_none_is_shown(tmp_path, capsys):
    assert figures.validation_strip(tmp_path) is None
    figures.show(figures.validation_strip(tmp_path))
    assert capsys.readouterr().out == ""


def test_the_validation_strip_has_a_row_for_each_step(tmp_path):
    for step, picture in ((50, RED), (100, BLUE)):
        figures.save_grid([picture] * 3, tmp_path / "validation" / f"step_{step:06d}.png", columns=3)
    strip = np.asarray(figures.validation_strip(tmp_path, side=32))
    assert strip.shape == (64, 4 * 32, 3)
    assert (strip[:32, 32:] == (255, 0, 0)).all() and (strip[32:, 32:] == (0, 0, 255)).all()
    assert np.asarray(figures.validation_strip(tmp_path, rows=1, side=32)).shape == (32, 4 * 32, 3)


def test_a_long_caption_makes_room_for_all_its_lines():
    short = figures.contact_sheet([RED], [BLUE], ["jumping"], columns=2)
    caption = "jumping, left arm raised, right arm stretched out, looking left, laughing, at night under the moon"
    long = figures.contact_sheet([RED], [BLUE], [caption], columns=2)
    assert long.width == short.width and long.height > short.height + 20
    margin = np.asarray(long)[-6:]
    assert (margin == 255).all()  # the last line ends above the edge


def test_a_wide_picture_is_shown_whole():
    wide = PIL.Image.new("RGB", (200, 100), (255, 0, 0))
    assert area(figures.grid([wide], side=100), (255, 0, 0)) == 100 * 50


def test_a_loss_curve_has_the_logged_values_and_their_running_mean():
    rows = [{"step": 10 * i, "loss": float(i % 2)} for i in range(1, 41)] + [{"step": 401, "loss": None}]
    raw, smooth = figures.loss_curve(rows).axes[0].lines
    np.testing.assert_array_equal(raw.get_ydata(), [float(i % 2) for i in range(1, 41)])
    assert smooth.get_ydata() == pytest.approx(np.full(40, 0.5), abs=0.2)
    assert len(smooth.get_xdata()) == 40


def test_bars_carry_their_intervals_and_skip_what_does_not_apply(tmp_path):
    rows = {"fine-tuned": {"identity": (0.8, 0.7, 0.9), "copy": (0.1, 0.0, 0.2)}, "base": {"identity": (0.4, 0.3, 0.5)}}
    figure = figures.comparison_bars(rows, {"identity": "identity", "copy": "copy rate"})
    bars = figure.axes[0].containers
    heights = [bar.get_height() for container in bars if hasattr(container, "patches") for bar in container.patches]
    assert heights == pytest.approx([80, 10, 40])
    path = figures.save_figure(figure, tmp_path / "bars.png")
    assert PIL.Image.open(path).width > 200
    assert [entry.name for entry in tmp_path.iterdir()] == ["bars.png"]


def scored(**means) -> dict:
    """A table of scores with rows of these names; their intervals are 0.1 wide each way."""
    rows = [
        {
            "name": name.removeprefix("at_"),
            **{key: {"mean": m, "low": m - 0.1, "high": m + 0.1} for key in ("pose", "identity")},
        }
        for name, m in means.items()
    ]
    return {"columns": {"pose": "pose", "identity": "identity"}, "rows": rows}


def test_lines_show_scores_over_numbers_with_their_intervals():
    axes = figures.score_lines(scored(at_0=0.2, at_4=0.6), "guidance", columns=("pose",)).axes[0]
    assert [tuple(point) for point in axes.lines[0].get_xydata()] == [(0, 20), (4, 60)]
    band = axes.collections[0].get_paths()[0].vertices[:, 1]
    assert band.min() == pytest.approx(10) and band.max() == pytest.approx(70)


def test_families_are_a_line_each_beside_each_other_the_columns():
    figure = figures.score_families({"ddim": scored(at_5=0.2), "euler": scored(at_5=0.4)}, "steps")
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["identity", "pose"]
    assert [line.get_ydata()[0] for line in figure.axes[0].lines] == [20, 40]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["ddim", "euler"]


def test_no_colour_that_is_shown_is_falsified():
    """A palette of 256 colours once turned the red of an odd sock into mauve."""
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)
    noise[:4, :4] = (203, 41, 52)  # a few red pixels among 40,000 colours
    noise[5:9, :4] = 255
    shown = np.asarray(figures.lean(PIL.Image.fromarray(noise)))
    assert np.abs(shown.astype(int) - noise).max() <= 2
    assert (shown[5:9, :4] == 255).all()


def test_small_pictures_are_enlarged_by_whole_pixels():
    dots = PIL.Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8))
    shown = np.asarray(figures.grid([dots], side=70))
    assert np.array_equal(shown, np.asarray(dots).repeat(2, 0).repeat(2, 1))
    assert figures.shown_side([PIL.Image.new("RGB", (128, 128))], 192) == 256
    assert figures.shown_side([PIL.Image.new("RGB", (1024, 1024))], 160) == 160


def test_curves_are_named_in_words_and_no_legend_covers_them():
    rows = [{"step": i, "loss_drawings": 1.0, "loss_prior": 0.5} for i in range(5)]
    figure = figures.loss_curve(rows, ("loss_drawings", "loss_prior"))
    figure.canvas.draw()
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["on the drawings", "prior preservation"]
    assert not figure.legends[0].get_window_extent().overlaps(figure.axes[0].get_window_extent())
