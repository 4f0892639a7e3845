import pytest

from comics_genai.errors import UserError
from comics_genai.studies.grid import Grid
from comics_genai.studies.summary import (
    REHEARSAL,
    about,
    best_of,
    best_variant,
    claim,
    curve_of,
    equivalent_from,
    grouped,
    lines_of,
    lines_of_tests,
    paired_tests,
    pairs_of,
    plateaus,
    seconds_of,
    told,
)
from comics_genai.studies.table import columns_of


def row(method: str, character: int, joint: list[int], kind: str = "", rank: int = 4, **scores) -> dict:
    """A run of as many pictures, two of a prompt."""
    records = [
        {"prompt": i // 2, "noise": i % 2, "identity": 0.5 + 0.5 * ok, "identity_named": 1.0, "identity_unnamed": 0.0,
         "pose": 0.75, "joint_success": bool(ok), "identity_right": bool(ok), "pose_right": True, "copied": False,
         "right": {"skin": bool(ok)}}
        for i, ok in enumerate(joint)
    ]  # fmt: skip
    return {
        "method": method, "kind": kind or method, "variant": "", "character": character, "seed": 0, "parameters": 10,
        "settings": {"finetune": {"rank": rank}}, "seconds": {"train": 2.0, "draw": 1.0, "score": 1.0},
        "scores": {"joint_success": sum(joint) / len(joint), **scores}, "pictures": columns_of(records),
    }  # fmt: skip


def study(ours: list[int], careful: list[int]) -> list[dict]:
    rows = []
    for character in range(6):
        rows += [row("lora", character, ours, prior_drift=0.1), row("careful_prompt", character, careful)]
    return rows + [row("other_characters", 0, [0, 0, 0, 0])]


def test_the_table_has_a_line_a_method_with_exact_intervals_where_nothing_varies():
    lines = lines_of(grouped(study([1, 1, 1, 0], [0, 0, 0, 0])))
    assert [line[""] for line in lines] == ["lora", "careful prompt", "other characters"]
    assert lines[0]["runs"] == 6 and lines[0]["pictures"] == 24 and lines[0]["prior drift"] == "0.10"
    assert lines[0]["joint success"].startswith("75 [") and lines[1]["joint success"] == "0 [0, 14]"
    assert lines[1]["prior drift"] == lines[1]["rank 1 of 200"] == "-"


def test_the_claim_is_held_against_the_higher_of_chance_and_the_careful_prompt():
    groups = grouped(study([1, 1, 1, 0], [0, 0, 0, 0]))
    found = claim(groups, "lora")
    assert not found["copied"].mean and found["weaker"] == "identity"
    # No copy among 24 pictures.
    assert found["holds"] and "holds" in told(found, "lora", 6)
    even = claim(grouped(study([1, 1, 0, 0], [1, 0, 0, 0])), "lora")
    assert even["bar"] == "careful prompt" and not even["holds"] and "does not hold" in told(even, "lora", 6)
    with pytest.raises(UserError, match="careful_prompt"):
        claim(grouped([row("lora", 0, [1, 0])]), "lora")


def test_tests_pair_the_characters_and_are_corrected_for_their_number():
    found = paired_tests(grouped(study([1, 1, 1, 0], [0, 0, 1, 0])), "lora")
    careful = found["careful prompt"]
    assert careful["characters"] == 6 and careful["difference"] == pytest.approx(-0.5)
    assert careful["p"] == pytest.approx(2 / 2**6) and careful["p_holm"] == pytest.approx(2 * 2 / 2**6)
    assert found["other characters"]["characters"] == 1


def test_curves_and_plateaus_are_over_a_setting():
    rows = [row("lora", c, joint, rank=rank) for rank, joint in ((4, [0, 0]), (16, [1, 0]), (64, [1, 0]))
            for c in range(6)]  # fmt: skip
    curve = curve_of(rows, "finetune.rank")
    assert list(curve["lora"]) == [4, 16, 64]
    assert curve["lora"][16].intervals["joint_success"].mean == 0.5
    assert equivalent_from(curve["lora"], 0.05) == 16
    assert curve_of(rows, "finetune.steps") == {}
    assert list(curve_of(rows, "finetune.rank", by="finetune.rank")) == ["rank 4", "rank 16", "rank 64"]
    assert "highest at rank 16, 50 [" in best_of(curve, "rank") and "overlaps those of 4, 64" in best_of(curve, "rank")
    assert "from 16 steps on within 5 points of 64" in plateaus(curve, 0.05)
    assert seconds_of(curve)[1] == {"steps": 16, "lora": "0.50"}
    assert pairs_of(rows, "lora", "finetune.rank", "finetune.rank").keys() == {(4, 4), (16, 16), (64, 64)}


def test_the_best_variant_is_told_with_its_test():
    rows = [row("lora", c, joint) | {"variant": name} for name, joint in (("default", [1, 0]), ("no prior", [1, 1]))
            for c in range(6)]  # fmt: skip
    groups = grouped(rows)
    tests = paired_tests(groups, "lora, default")
    words = best_variant(groups, "lora, default", tests)
    assert "**lora, no prior**, 100 [" in words and "+50 points, which the test shows (p = 0.031" in words
    assert lines_of_tests(tests)[0]["difference"] == "+50"
    assert "No variant" in best_variant(groups, "lora, no prior", paired_tests(groups, "lora, no prior"))


def test_a_table_says_what_it_contains_and_whether_it_is_a_rehearsal():
    rows = [row("lora", 0, [1, 0]) | {"device": "CPU", "base": "b1", "reader": "r1", "commit": ""}]
    whole = about(Grid("some", {"lora": {}}), rows)
    assert whole.startswith("1 runs, 1 character, 2 pictures") and whole.endswith("commit unknown.")
    assert about(Grid("some", {"lora": {}}), rows, rehearsal=True) == f"{REHEARSAL} {whole}"


def test_a_training_that_several_rows_share_counts_once():
    rows = [row("lora", 0, [1]) for _ in range(3)]
    known = {"device": "CPU", "base": "b1", "reader": "r1", "commit": ""}
    for steps, one in zip((2, 5, 10), rows, strict=True):
        one["settings"] = one["settings"] | {"sampling": {"steps": steps}}
        one |= known | {"seconds": {"train": 3600.0, "draw": 360.0, "score": 0.0}}
    other = row("lora", 1, [1]) | known | {"seconds": {"train": 3600.0, "draw": 0.0, "score": 0.0}}
    assert "; 1.3 hours on " in about(Grid("some", {"lora": {}}), rows)
    assert "; 2.3 hours on " in about(Grid("some", {"lora": {}}), [*rows, other])
