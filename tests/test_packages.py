"""Packages that are missing or too old are found by their numbers, and asked for at exact versions."""

import re

import pytest

from comics_genai import packages
from comics_genai.errors import UserError


@pytest.fixture(autouse=True)
def installed(monkeypatch):
    versions = {"a": "2.13.0+cpu", "b": "0.9", "c": "1.10.0rc1", "transformers": "5.15.0", "huggingface_hub": "1.35.0"}

    def version(name: str) -> str:
        if name not in versions:
            raise packages.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(packages, "version", version)


def test_versions_are_compared_by_their_numbers():
    asked = ["a", "a>=2.13", "a>=2.14", "b>=0.16", "c>=1.9", "absent", "absent>=1"]
    assert packages.missing(asked) == ["a>=2.14", "b>=0.16", "absent", "absent>=1"]


def test_exact_versions_are_asked_for_and_the_family_goes_up_together_but_never_down(tmp_path):
    (tmp_path / "constraints.txt").write_text("# tested\nb==0.17.1\ndiffusers==0.42.1\ntransformers==5.23.0\n")
    exact = packages.exact_versions(tmp_path / "constraints.txt")
    assert exact == {"b": "0.17.1", "diffusers": "0.42.1", "transformers": "5.23.0"}
    assert packages.pinned(["b>=0.16", "unknown>=3"], exact) == ["b==0.17.1", "unknown"]
    family = exact | {"accelerate": "1.15.0", "peft": "0.21.2", "datasets": "5.2.0", "huggingface_hub": "1.33.0"}
    assert packages.pinned(["diffusers>=0.42"], family) == [
        "diffusers==0.42.1",
        "transformers==5.23.0",
        "accelerate==1.15.0",
        "peft==0.21.2",
        "datasets==5.2.0",
    ]


def test_what_is_missing_on_a_machine_of_ones_own_is_named_with_the_command():
    packages.require(["a>=2", "b"])
    with pytest.raises(UserError, match=re.escape("This needs absent>=2: run ") + ".* -m pip install absent>=2"):
        packages.require(["a", "absent>=2"])
