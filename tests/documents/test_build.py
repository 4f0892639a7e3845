"""The committed documents say what the committed files say."""

import json
import shutil
from pathlib import Path

import pytest

from comics_genai.documents import build
from comics_genai.documents.sources import Sources
from comics_genai.errors import UserError

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def written() -> dict[str, str]:
    return build.written(Sources(ROOT))


def test_every_table_and_number_is_what_its_sources_say(written):
    committed = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / build.GENERATED).glob("*.tex")}
    assert committed == written


@pytest.mark.parametrize("name", build.PDFS)
def test_no_pdf_is_older_than_what_went_into_it(name):
    assert (ROOT / build.PDFS[name] / f"{name}.pdf").read_bytes().startswith(b"%PDF-1.")
    assert build.stale(ROOT, name) == [], "run `make report`"


def test_a_changed_a_missing_and_a_new_file_make_a_pdf_stale(tmp_path):
    folder = tmp_path / build.PDFS["Report"]
    (folder / "sections").mkdir(parents=True)
    for file in ("Report.tex", "sections/one.tex", "sections/two.tex"):
        (folder / file).write_text(file)
    record = build.digests(tmp_path, build.texts(tmp_path, "Report"))
    (folder / "Report.inputs.json").write_text(json.dumps(record))
    assert build.stale(tmp_path, "Report") == []
    (folder / "sections" / "one.tex").write_text("changed")
    (folder / "sections" / "two.tex").unlink()
    (folder / "sections" / "three.tex").write_text("new")
    prefix = build.PDFS["Report"]
    assert build.stale(tmp_path, "Report") == [f"{prefix}/sections/{name}.tex" for name in ("one", "three", "two")]


def test_every_table_and_macro_of_the_text_is_generated(written):
    macros = {line.split("}")[0].removeprefix("\\newcommand{") for name in ("numbers.tex", "findings.tex")
              for line in written[name].splitlines() if line.startswith("\\newcommand")}  # fmt: skip
    assert len(macros) > 100 and "\\UnetParameters" in macros
    text = "".join((ROOT / path).read_text("utf-8") for path in build.texts(ROOT, "Report") if "generated" not in path)
    unused = [name for name in written if name.removesuffix(".tex") not in text]
    assert unused == []


@pytest.mark.parametrize("name", build.PDFS)
def test_the_text_is_typeset_without_an_undefined_reference_or_a_line_too_wide(name, tmp_path):
    for folder in set(build.PDFS.values()):
        left_out = shutil.ignore_patterns("build", "figures", "*.pdf")
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=left_out)
    build.typeset(tmp_path / build.PDFS[name], name, figures=False)
    log = (tmp_path / build.PDFS[name] / "build" / f"{name}.log").read_text("utf-8", "replace")
    assert [line for line in log.splitlines() if "undefined" in line or line.startswith("Overfull \\hbox")] == []


def test_without_tex_one_sentence_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="latexmk is not installed: on Debian or Ubuntu, sudo apt install latexmk"):
        build.typeset(tmp_path, "Report")
