import subprocess
import sys
from pathlib import Path

places = [Path.cwd(), *Path.cwd().parents, Path.cwd() / "Comics-GenAI"]
root = next((place for place in places if (place / "comics_genai/environment.py").exists()), places[-1])
if not root.exists():  # on Kaggle and Colab a notebook comes alone
    url = "https://github.com/comics-genai/Comics-GenAI"
    if subprocess.run(["git", "clone", "--quiet", "--depth", "1", url, str(root)]).returncode:
        sys.exit("The repository could not be fetched: switch this notebook's internet on and run this cell again.")
sys.path.insert(0, str(root))
from comics_genai import environment

environment.set_up()
