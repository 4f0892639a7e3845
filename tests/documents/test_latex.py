"""Text, tables and macros that TeX takes as they are meant."""

import pytest

from comics_genai.documents import latex


@pytest.mark.parametrize(
    ("text", "written"),
    [("50 % of a_b & c", r"50 \% of a\_b \& c"), ("≥ 1 × 2", r"$\geq$ 1 $\times$ 2"), ("a\\b", r"a\textbackslash{}b")],
)
def test_signs_with_a_meaning_in_tex_are_escaped(text, written):
    assert latex.escaped(text) == written


def test_markdown_lists_and_bold_words():
    assert latex.from_markdown("So:\n- **one**: 5 %\n- two") == (
        "So:\n\\begin{itemize}\n\\item \\textbf{one}: 5 \\%\n\\item two\n\\end{itemize}"
    )


@pytest.mark.parametrize(
    ("words", "name"),
    [("unet samples", "UnetSamples"), ("t4 sd15", "TFourSdOneFive"), ("dreambooth-lora", "DreamboothLora")],
)
def test_a_macro_is_named_by_letters_alone(words, name):
    assert latex.name_of(words) == name


def test_a_table_has_its_head_once_and_a_line_a_row():
    text = latex.table([{"": "one", "share": "5 %"}, {"": "two", "share": "6 %"}])
    assert text.splitlines()[:4] == [r"\begin{tabular}{@{}lr@{}}", r"\toprule", r" & share \\", r"\midrule"]
    assert text.count(r"\\") == 3 and r"two & 6 \% \\" in text


def test_macros_are_one_a_line():
    assert latex.macros({"a b": "1"}).splitlines()[1:] == [r"\newcommand{\AB}{1}"]
