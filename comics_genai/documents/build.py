"""Write the tables and figures of the report and the slides from the files of the runs, and typeset both.

    make report                          # tables, numbers, figures, Report.pdf, Presentation.pdf, the front page
    python -m comics_genai report --plans    # plan the GPUs' table anew first, some minutes

Beside each PDF, NAME.inputs.json has the digests of all files that it was made from. `stale` names those that changed.
"""

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path

from comics_genai import environment
from comics_genai.documents import findings, numbers, readme_blocks, tables
from comics_genai.documents.latex import macros
from comics_genai.documents.sources import Sources
from comics_genai.errors import UserError
from comics_genai.files import write_atomic
from comics_genai.planning.fits import all_plans
from comics_genai.plotting import figures
from comics_genai.progress import Progress

DOCUMENTS = "5_documents"
GENERATED = f"{DOCUMENTS}/report/generated"  # tables and numbers, committed
FIGURES = f"{DOCUMENTS}/report/figures"  # made anew by every build, not committed
PLANS = f"{DOCUMENTS}/benchmarks/plans.json"
PDFS = {"Report": f"{DOCUMENTS}/report", "Presentation": f"{DOCUMENTS}/presentation"}
WRITTEN_BY_HAND = (".tex", ".bib")
TOOLS = "latexmk lmodern texlive-latex-recommended texlive-fonts-recommended texlive-pictures"


def written(sources: Sources) -> dict[str, str]:
    """Every generated .tex by its file name."""
    found = {f"{name}.tex": text for name, text in tables.written(sources).items()}
    found["numbers.tex"] = macros(numbers.all_numbers(sources))
    return found | {"findings.tex": macros(findings.all_findings(sources))}


def write_generated(sources: Sources) -> None:
    """Write tables and macros, and remove those that are not written any more."""
    folder, found = sources.root / GENERATED, written(sources)
    for path in set(folder.glob("*.tex")) - {folder / name for name in found}:
        path.unlink()
    for name, text in found.items():
        write_atomic(folder / name, text.encode())


def write_figures(sources: Sources) -> None:
    """Write every figure: pictures as JPEG, plots as PDF."""
    from comics_genai.documents import diagrams, pictures, plots

    folder = sources.root / FIGURES
    drawn, plotted = pictures.PICTURES, {**plots.PLOTS, **diagrams.DIAGRAMS}
    with Progress(len(drawn) + len(plotted), describe="figures") as progress:
        for done, (name, make) in enumerate({**drawn, **plotted}.items(), 1):
            if name in drawn:
                pictures.save_jpeg(make(sources), folder / f"{name}.jpg")
            else:
                figures.save_figure(make(sources), folder / f"{name}.pdf")
            progress.update(done)
    pictures.save_jpeg(pictures.strip(sources), sources.root / pictures.STRIP)


def typeset(folder: Path, name: str, figures: bool = True) -> Path:
    """Typeset a .tex by latexmk; without `figures`, black boxes take their places.

    Raises UserError with TeX's message if it fails.
    """
    if shutil.which("latexmk") is None:
        raise UserError(f"latexmk is not installed: on Debian or Ubuntu, sudo apt install {TOOLS}.")
    # TeX writes this date into the PDF instead of today's, so that the same text gives the same bytes.
    fixed = os.environ | {"SOURCE_DATE_EPOCH": "0", "FORCE_SOURCE_DATE": "1"}
    shutil.rmtree(folder / "build", ignore_errors=True)  # files of an earlier text must not be used
    command = ["latexmk", "-pdf", "-interaction=nonstopmode", "-halt-on-error", "-outdir=build", f"{name}.tex"]
    command[1:1] = [] if figures else [r"-usepretex=\PassOptionsToPackage{demo}{graphicx}"]
    done = subprocess.run(command, cwd=folder, env=fixed, capture_output=True, text=True, errors="replace")
    log = folder / "build" / f"{name}.log"
    if done.returncode:
        said = log.read_text("utf-8", "replace") if log.exists() else done.stdout
        lines = [line for line in said.splitlines() if line.startswith(("!", "l."))]
        raise UserError(f"{name}.tex was not typeset: {' '.join(lines[:3]) or done.stdout[-300:]}")
    shutil.copyfile(folder / "build" / f"{name}.pdf", folder / f"{name}.pdf")
    return folder / f"{name}.pdf"


def build(root: Path) -> list[Path]:
    """Everything anew; the PDFs."""
    os.environ["SOURCE_DATE_EPOCH"] = "0"  # matplotlib writes it into the figures
    sources = Sources(root)
    write_generated(sources)
    write_figures(sources)
    made = []
    for name, folder in PDFS.items():
        made.append(typeset(root / folder, name))
        record = digests(root, [*sources.used, *texts(root, name)])
        write_atomic(root / folder / f"{name}.inputs.json", (json.dumps(record, indent=1) + "\n").encode())
    return made


def texts(root: Path, name: str) -> list[str]:
    """The files that TeX reads for a PDF, relative to the root: its own and generated ones."""
    folders = {PDFS[name], PDFS["Report"]}
    paths = {path for folder in folders for path in (root / folder).rglob("*") if path.suffix in WRITTEN_BY_HAND}
    own = {path for path in paths if name == "Report" or path.parent.name in ("presentation", "generated")}
    return sorted(path.relative_to(root).as_posix() for path in own if "build" not in path.parts)


def digests(root: Path, paths: list[str]) -> dict[str, str]:
    """The first 16 hexadecimal digits of each file's SHA-256, by path."""
    return {path: hashlib.sha256((root / path).read_bytes()).hexdigest()[:16] for path in sorted(set(paths))}


def stale(root: Path, name: str) -> list[str]:
    """Files that changed, came or went since the committed PDF was made."""
    record = json.loads((root / PDFS[name] / f"{name}.inputs.json").read_text(encoding="utf-8"))
    there = [path for path in record if (root / path).is_file()]
    now = digests(root, [*there, *texts(root, name)])
    return sorted(path for path in record.keys() | now.keys() if record.get(path) != now.get(path))


def main(plans: bool = False) -> str:
    """Write tables, numbers and figures anew, typeset Report.pdf and Presentation.pdf, and fill the README files.

    Args:
        plans: plan the table of GPUs anew first, which takes some minutes
    """
    root = environment.root()
    if plans:
        write_atomic(root / PLANS, (json.dumps(all_plans(), indent=1) + "\n").encode())
    return "\n".join(map(str, [*build(root), *readme_blocks.write(root)]))
