"""Where this runs is found out by trying, and a hosted notebook becomes ready from one cell."""

import os
import platform
import random
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from comics_genai import environment, hardware, packages
from comics_genai.errors import UserError

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def local(monkeypatch):
    for name in ("KAGGLE_KERNEL_RUN_TYPE", "COLAB_RELEASE_TAG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(environment, "_given", {})
    hardware.device.cache_clear()
    yield
    hardware.device.cache_clear()


def test_platform_is_told_by_what_each_leaves_in_the_environment(monkeypatch):
    assert environment.platform() == "local"
    monkeypatch.setenv("COLAB_RELEASE_TAG", "release-colab")
    assert environment.platform() == "colab"
    monkeypatch.setenv("KAGGLE_KERNEL_RUN_TYPE", "Interactive")
    assert environment.platform() == "kaggle"


def test_folders_are_the_repositorys_from_any_current_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert environment.root() == ROOT
    assert environment.data() == ROOT / "1_data"
    assert environment.generated() == ROOT / "6_generated"
    assert environment.cached() == ROOT / ".cache" and environment.cached().is_dir()


def test_a_package_without_its_repository_says_so_unless_a_wheel_brought_what_it_needs(monkeypatch, tmp_path):
    package = tmp_path / "site-packages" / "comics_genai"
    monkeypatch.setattr(environment, "__file__", str(package / "environment.py"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="clone it and start from inside it"):
        environment.root()
    drawings = package / "repository" / "1_data" / "unicorn_girl"
    drawings.mkdir(parents=True)
    assert environment.root() == tmp_path and environment.data() == drawings.parent
    assert environment.materials() == environment.brought() == package / "repository"
    assert environment.find("1_data/unicorn_girl") == drawings and environment.find("me/girl") is None
    (tmp_path / "me" / "girl").mkdir(parents=True)
    assert environment.find("me/girl") == Path("me/girl")
    monkeypatch.chdir(ROOT / "tests")
    assert environment.root() == ROOT and environment.data() == ROOT / "1_data"


def test_a_secret_comes_from_the_environment_first_and_absent_ones_are_none(monkeypatch, capfd):
    monkeypatch.setenv("SOME_SECRET", " hf_abc\n")
    monkeypatch.setenv("EMPTY_SECRET", "")
    assert environment.secret("SOME_SECRET") == "hf_abc"
    assert environment.secret("EMPTY_SECRET") is None
    assert environment.secret("ABSENT_SECRET") is None
    assert capfd.readouterr() == ("", "")


REFUSALS = [
    ("kaggle", "ConnectionError", "the internet on: switch it on in the notebook's settings"),
    ("kaggle", "CredentialError", "Kaggle does not say whose notebook this is"),
    ("kaggle", "BackendError", "no Kaggle secret REFUSED: under Add-ons > Secrets add it, tick its box"),
    ("colab", "SecretNotFoundError", "Colab has no secret REFUSED: click the key at the left, add it"),
    ("colab", "NotebookAccessError", "may not read Colab's secret REFUSED: click the key"),
    ("colab", "TimeoutException", "nobody allowed Colab's secret REFUSED in time"),
]


@pytest.mark.parametrize(("platform", "error", "sentence"), REFUSALS)
def test_a_secret_comes_from_the_platforms_store_and_each_refusal_says_where_to_click(
    monkeypatch, tmp_path, platform, error, sentence
):
    answer = f"    if name == 'GIVEN': return 'hf_abc'\n    raise type('{error}', (Exception,), {{}})('hf_other')\n"
    if platform == "kaggle":
        monkeypatch.setenv("KAGGLE_KERNEL_RUN_TYPE", "Batch")
        body = "class UserSecretsClient:\n  def get_secret(self, name):\n" + answer
        (tmp_path / "kaggle_secrets.py").write_text(body)
    else:
        monkeypatch.setenv("COLAB_RELEASE_TAG", "release")
        (tmp_path / "google" / "colab").mkdir(parents=True)
        (tmp_path / "google" / "colab" / "__init__.py").write_text("")
        (tmp_path / "google" / "colab" / "userdata.py").write_text("def get(name):\n" + answer)
    monkeypatch.syspath_prepend(tmp_path)
    found = environment.secret("GIVEN"), environment.secret("REFUSED")
    told = environment.no_secret("GIVEN"), environment.no_secret("REFUSED")
    for name in [name for name in sys.modules if name.split(".")[0] in ("google", "kaggle_secrets")]:
        del sys.modules[name]
    assert found == ("hf_abc", None)
    assert told[0] == "" and sentence in told[1] and "hf_" not in told[1]


def test_a_platforms_store_is_asked_for_a_secret_once_and_again_only_after_a_refusal(monkeypatch, tmp_path):
    monkeypatch.setenv("KAGGLE_KERNEL_RUN_TYPE", "Batch")
    (tmp_path / "kaggle_secrets.py").write_text(
        "asked = []\n"
        "class UserSecretsClient:\n"
        "  def get_secret(self, name):\n"
        "    asked.append(name)\n"
        "    if len(asked) == 1: raise ConnectionError\n"
        "    return 'hf_abc'\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    found = [environment.secret("GIVEN") for _ in range(4)]
    assert sys.modules.pop("kaggle_secrets").asked == ["GIVEN", "GIVEN"]
    assert found == [None, "hf_abc", "hf_abc", "hf_abc"]


def test_without_a_platform_a_secret_is_set_in_the_environment_or_by_the_hubs_log_in():
    assert environment.no_secret("ABSENT_SECRET").startswith("set ABSENT_SECRET in the environment, or log in with")


def test_set_up_prints_one_line_and_makes_random_numbers_repeat(capsys):
    def numbers() -> tuple[float, float, float]:
        environment.set_up(seed=3)
        return random.random(), float(np.random.rand()), float(torch.rand(()))

    first, second = numbers(), numbers()
    assert first == second
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    device = hardware.device()
    where, name, precision, free, *versions = lines[0].split(", ")
    assert where == platform.system() and name and precision == hardware.precision(device)
    assert re.fullmatch(r"(\d+ GB of memory and )?\d+ GB of disk free", free)
    assert versions[:2] == [f"Python {sys.version.split()[0]}", f"torch {torch.__version__}"]
    assert [text.split()[0] for text in versions[2:]] == ["diffusers", "transformers", "peft"]


def test_missing_packages_on_a_machine_of_ones_own_are_named(monkeypatch):
    monkeypatch.setattr(packages, "missing", lambda requirements: ["peft>=99"])
    with pytest.raises(UserError, match=r"lacks peft>=99: run make test once in"):
        environment.set_up()


def wheel(folder: Path, name: str, version: str, requires: str = "") -> Path:
    """A wheel of an empty package."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    members = {
        f"{name}/__init__.py": "",
        f"{name}-{version}.dist-info/METADATA": metadata + (f"Requires-Dist: {requires}\n" if requires else ""),
        f"{name}-{version}.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = f"{name}-{version}.dist-info/RECORD"
    with zipfile.ZipFile(path, "w") as archive:
        for member, content in members.items():
            archive.writestr(member, content)
        archive.writestr(record, "".join(f"{member},,\n" for member in [*members, record]))
    return path


def test_a_hosted_image_gets_what_it_lacks_loses_old_torchao_and_keeps_its_torch(tmp_path):
    image = tmp_path / "image"
    subprocess.run([sys.executable, "-m", "venv", str(image)], check=True)
    python, index = str(image / "bin" / "python"), tmp_path / "index"
    index.mkdir()
    offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(index), "PIP_CONFIG_FILE": os.devnull}
    variables = os.environ | offline | {"COLAB_RELEASE_TAG": "release", "PYTHONPATH": str(ROOT)}
    preinstalled = [wheel(tmp_path, "torch", "2.10.0+cu128"), wheel(tmp_path, "torchao", "0.10.0")]
    subprocess.run([python, "-m", "pip", "install", "--quiet", *preinstalled], check=True, env=variables)
    wheel(index, "torch", "2.13.0")
    exact = packages.exact_versions(ROOT / "constraints.txt") | environment.HOSTED_VERSIONS
    for name in packages.FAMILY:
        wheel(index, name, exact[name], requires="torch>=2" if name == "peft" else "")
    program = (
        "from importlib.metadata import distributions; from comics_genai import environment, packages\n"
        "packages.remove('torchao'); environment.require('peft>=0.20', 'torch')\n"
        "known = ('torch', 'torchao', *packages.FAMILY)\n"
        "print(sorted(f'{d.name} {d.version}' for d in distributions() if d.name in known))\n"
        "try: environment.require('tyro>=1.0')\n"
        "except environment.UserError as error: print(error)"
    )
    done = subprocess.run([python, "-c", program], cwd=tmp_path, env=variables, capture_output=True, text=True)
    found, sentence = done.stdout.splitlines()
    family = [f"{name} {exact[name]}" for name in packages.FAMILY]
    assert found == str(sorted([*family, "torch 2.10.0+cu128"])) and "huggingface_hub 1.33.0" in family
    assert sentence.startswith(f"The packages tyro=={exact['tyro']} could not be installed (ERROR: No matching")
    assert sentence.endswith("switch the internet on in this notebook's settings and run this cell again.")


def test_what_a_single_notebook_needs_is_named_where_it_is_missing():
    environment.require("numpy>=1", "torch")
    with pytest.raises(UserError, match=r"This needs no-such-package>=2: run .* -m pip install no-such-package>=2\."):
        environment.require("numpy", "no-such-package>=2")


def test_the_setup_page_says_what_to_do_about_each_reason_for_no_secret():
    page = (environment.root() / "4_finetuning" / "Setup.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1].strip() for line in page.splitlines() if line.startswith("| ")]
    for sentence in environment.REFUSALS.values():
        told = sentence.format(name="HF_TOKEN")
        assert [row for row in rows if told.startswith(row)], told
