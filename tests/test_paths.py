"""Names that others chose stay inside their folder, or are refused in a sentence."""

import os

import pytest

from comics_genai import paths
from comics_genai.errors import UserError

HOSTILE = ["../secret.txt", "a/../../secret.txt", "/etc/passwd", "C:\\secret.txt", "..\\secret.txt"]
HOSTILE += ["\\\\host\\share", "link/secret.txt", "linked.txt", "", "a\x00b", "x" * 5000 + "/../../y"]
HOSTILE += [None, 3, ["x"], {"file": "x"}]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "secret.txt").write_text("secret")
    root = tmp_path / "root"
    (root / "below").mkdir(parents=True)
    os.symlink(tmp_path, root / "link")
    os.symlink(tmp_path / "secret.txt", root / "linked.txt")
    return root


@pytest.mark.parametrize("name", HOSTILE, ids=repr)
def test_a_name_that_leads_out_of_its_folder_is_refused(folder, name):
    with pytest.raises(UserError, match=r"^metadata\.jsonl names .*\.$"):
        paths.inside(folder, name, "metadata.jsonl")


@pytest.mark.parametrize("name", ["a.png", "below/ä.png", "below/./a.png", "…/x.png", "a..b.png", "absent/deep/a.png"])
def test_a_name_inside_is_the_path(folder, name):
    assert paths.inside(folder, name, "metadata.jsonl") == folder / name


def test_links_out_of_a_folder_are_found_and_links_within_it_are_not(folder):
    os.symlink(folder / "below", folder / "within")
    assert paths.links_outside(folder) == [folder / "link", folder / "linked.txt"]


@pytest.mark.parametrize("name", ["UnicornGirl", "Unicorn Girl", "<sks>", "Ünïcörn", "娘", "it's", 'the "girl"'])
def test_a_characters_name_may_be_any_line_of_text(name):
    assert paths.plain_name(name, "The identifier") == name
    assert not set(paths.file_name(name)) & set('<>:"/\\|?* ')


@pytest.mark.parametrize(
    "name",
    ["", " ", "..", ".hidden", "-rf", "a/b", "a\\b", "a\nb", "a\x00", "con", "Aux.txt", "a.", "x" * 200, "\ud800"],
)
def test_a_name_that_is_no_part_of_a_path_is_refused(name):
    with pytest.raises(UserError, match=r"^The identifier .*: give a word such as UnicornGirl\.$"):
        paths.plain_name(name, "The identifier")


@pytest.mark.parametrize(
    ("name", "fits"),
    [("me/girl", True), ("me/my.girl_2", True), ("me/a--b", False), ("me/a..b", False), ("me/girl.git", False),
     ("girl", False), ("a/b/c", False), ("../girl", False), ("me/gïrl", False), ("me/" + "x" * 100, False)],
)  # fmt: skip
def test_a_repository_is_what_the_hub_takes_for_one(name, fits):
    assert paths.is_repository(name) is fits
    if not fits:
        with pytest.raises(UserError, match="cannot be a name on the Hub: give OWNER/NAME"):
            paths.repository(name)


def test_a_record_of_others_chooses_no_folder_of_this_machine(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "me" / "here").mkdir(parents=True)
    known = frozenset({"mini"})
    assert [paths.from_elsewhere(name, known, "x", "--base") for name in ("mini", "me/base")] == ["mini", "me/base"]
    for name in ("me/here", "/home/me/base", "../base", "base", "~/base", "C:\\base", None, 3):
        with pytest.raises(UserError, match="a folder of the machine it was made on: give --base for this machine"):
            paths.from_elsewhere(name, known, "The run me/x", "--base")
