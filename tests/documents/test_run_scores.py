"""A committed run's scores in words follow its figures."""

import pytest

from comics_genai.documents import run_scores


def share(mean, low, high):
    return {"mean": mean, "low": low, "high": high}


def scores(tuned, careful):
    """A scores.json whose rows have the same figure in every column."""
    keys = ("identity", "identity_unnamed", "pose", "joint_success", "copied")
    names = {run_scores.TUNED: tuned, run_scores.CAREFUL: careful, run_scores.BASE: share(0.2, 0.1, 0.3)}
    return {
        "columns": {key: key.replace("_", " ") for key in keys},
        "rows": [{"name": name, **dict.fromkeys(keys, figure)} for name, figure in names.items()],
    }


@pytest.mark.parametrize(
    ("tuned", "careful", "said"),
    [
        (share(0.5, 0.4, 0.6), share(0.1, 0.05, 0.15), "more, and the intervals lie apart"),
        (share(0.1, 0.05, 0.15), share(0.5, 0.4, 0.6), "less, and the intervals lie apart"),
        (share(0.5, 0.4, 0.6), share(0.45, 0.3, 0.55), "no difference is shown"),
    ],
)
def test_a_finding_follows_the_figures(tuned, careful, said):
    (sentence,) = run_scores.finding(("lora", scores(tuned, careful)))
    assert sentence.startswith("With LoRA") and sentence.count(said) == 1 and "In all three, " in sentence


def test_figures_that_differ_in_what_they_show_say_so_one_by_one():
    mixed = scores(share(0.5, 0.4, 0.6), share(0.45, 0.3, 0.55))
    mixed["rows"][0]["identity"] = share(0.9, 0.8, 1.0)
    (sentence,) = run_scores.finding(("lora", mixed))
    assert sentence.count("(it is more, and the intervals lie apart)") == 1
    assert sentence.count("(the intervals overlap, so no difference is shown)") == 2 and "In all three" not in sentence


def test_a_share_is_shown_in_percent_with_its_interval():
    assert run_scores.percent(share(0.536, 0.47, 0.624)) == "54 [47, 62]"


def test_groups_have_the_methods_names_and_keep_their_variants():
    assert run_scores.titled("dreambooth lora, no prior") == "DreamBooth+LoRA, no prior"
    assert run_scores.titled("gan v2") == "GAN version 2" and run_scores.titled("careful prompt") == "careful prompt"
