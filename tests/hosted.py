"""A machine as Kaggle lends it: a Python of its own with the packages but not this one, no repository around, the wheel
attached in a folder that cannot be written, a store of secrets."""

import json
import os
import sysconfig
import venv
from dataclasses import dataclass
from pathlib import Path

from comics_genai.publishing import wheel

TOKEN = "hf_stand_in"
STORES = {  # of secrets, as each platform's package offers it; Colab's answers the notebook's own thread alone
    "kaggle_secrets.py": f"""
class UserSecretsClient:
    def get_secret(self, name):
        return {{"HF_TOKEN": "{TOKEN}"}}[name]
""",
    "google/colab/errors.py": "class Error(Exception): pass\n",
    "google/colab/userdata.py": f"""
import threading

from google.colab.errors import Error


class SecretNotFoundError(Error): pass
class TimeoutException(Error): pass


def get(name):
    if threading.current_thread() is not threading.main_thread():
        raise TimeoutException(name)
    if name != "HF_TOKEN":
        raise SecretNotFoundError(name)
    return "{TOKEN}"
""",
}
PLATFORMS = {"kaggle": "KAGGLE_KERNEL_RUN_TYPE", "colab": "COLAB_RELEASE_TAG"}  # what tells each


@dataclass(frozen=True)
class Hosted:
    """Its Python, the folder it works in, and the variables its programs see."""

    python: Path
    working: Path
    variables: dict[str, str]
    kernels: Path  # for JUPYTER_PATH: the kernels `kaggle` and `colab`


def kaggle(folder: Path) -> Hosted:
    """Such a machine in an empty folder."""
    venv.create(folder / "python", with_pip=True)
    python = folder / "python" / "bin" / "python"
    own = next((folder / "python" / "lib").glob("python*/site-packages"))
    # Links to every package but this one: a line in a .pth would bring this one's metadata along.
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if "comics_genai" not in entry.name and "editable" not in entry.name and not (own / entry.name).exists():
            (own / entry.name).symlink_to(entry)
    for name, source in STORES.items():
        (own / name).parent.mkdir(parents=True, exist_ok=True)
        (own / name).write_text(source, encoding="utf-8")
    attached, working = folder / "input" / "comics-genai-wheel", folder / "working"
    working.mkdir()
    wheel.build(attached)
    for place in (*attached.iterdir(), attached, attached.parent):
        place.chmod(0o555 if place.is_dir() else 0o444)
    hidden = ("PYTHONPATH", "HF_TOKEN", *PLATFORMS.values())
    variables = {name: value for name, value in os.environ.items() if name not in hidden}
    for platform, variable in PLATFORMS.items():
        spec = {
            "argv": [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            "display_name": platform,
            "language": "python",
            "env": {variable: "stand-in", "PYTHONPATH": "", "PIP_NO_INDEX": "1"},
        }
        place = folder / "jupyter" / "kernels" / platform
        place.mkdir(parents=True)
        (place / "kernel.json").write_text(json.dumps(spec), encoding="utf-8")
    variables |= {PLATFORMS["kaggle"]: "Batch", "PIP_NO_INDEX": "1"}
    return Hosted(python, working, variables, folder / "jupyter")
