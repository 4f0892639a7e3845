"""The rules of the house, walked in the code: imports point one way, files and functions are short, tests mirror it."""

import ast
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "comics_genai"
MODULES = sorted(PACKAGE.rglob("*.py"))
LONGEST_FILE, LONGEST_FUNCTION = 350, 60  # lines
# From the ground up: a room imports rooms before it alone. Files beside the rooms are the ground, but for __main__.
ROOMS = ["ground", "hub", "world", "drawings", "bases", "training", "plotting", "sampling", "evaluation", "finetuning"]
ROOMS += ["planning", "baselines", "pretrain", "studies", "describe", "publishing", "notebooks", "bench"]
ROOMS += ["documents", "__main__"]
# Test files of a room that are named after no module.
GATHERED = {"finetuning/test_compile", "pretrain/test_mini_sdxl", "publishing/gallery/test_page"}
CLOCKS = {"time.time", "time.monotonic", "time.perf_counter", "datetime.now"}


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").as_posix().replace("/", ".")


def room_of(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0]
    return "__main__" if first == "__main__.py" else "ground" if first.endswith(".py") else first


def imports_of(path: Path) -> list[tuple[str, str]]:
    """(module of the package, name taken from it) each, wherever in the file; relative ones included."""
    package = ["comics_genai", *path.relative_to(PACKAGE).parts[:-1]]
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            found += [(module, alias.name) for alias in node.names]
        elif isinstance(node, ast.Import):
            found += [(alias.name, "") for alias in node.names]
    return [(module, name) for module, name in found if module.split(".")[0] == "comics_genai"]


def room_imported(module: str, name: str) -> str:
    parts = [*module.split("."), name][1:]
    return parts[0] if (PACKAGE / parts[0]).is_dir() else parts[0] if parts[0] == "__main__" else "ground"


def test_every_room_has_its_place():
    assert {room_of(path) for path in MODULES} == set(ROOMS)


def test_imports_point_one_way():
    found = set()
    for path in MODULES:
        for module, name in imports_of(path):
            room = room_imported(module, name)
            if ROOMS.index(room) > ROOMS.index(room_of(path)):
                found.add((name_of(path), room))
    assert found == set()


def test_no_file_is_longer_than_can_be_held_in_mind():
    found = {name_of(path) for path in MODULES if len(path.read_text("utf-8").splitlines()) > LONGEST_FILE}
    assert found == set()


def test_every_function_fits_on_a_screen():
    found = set()
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.end_lineno - node.lineno + 1 > LONGEST_FUNCTION:
                found.add(f"{name_of(path)}.{node.name}")
    assert found == set()


def test_no_module_takes_a_private_name_from_another():
    found = {
        (name_of(path), name)
        for path in MODULES
        for module, name in imports_of(path)
        if name.startswith("_") or any(part.startswith("_") and part != "__main__" for part in module.split("."))
    }
    assert found == set()


def test_every_module_has_its_test_and_every_test_its_module():
    modules = {
        path.relative_to(PACKAGE).parent / path.stem
        for path in MODULES
        if path.name not in ("__init__.py", "__main__.py") or path.parent == PACKAGE and path.stem == "__main__"
    }
    expected = {(module.parent / f"test_{module.name.strip('_')}").as_posix() for module in modules}
    rooms = [path for path in (ROOT / "tests").iterdir() if (PACKAGE / path.name).is_dir()]
    tests = {
        path.relative_to(ROOT / "tests").with_suffix("").as_posix() for path in (ROOT / "tests").rglob("test_*.py")
    }
    assert expected - tests == set()
    gathered = {test for test in tests - expected if any(test.startswith(f"{room.name}/") for room in rooms)}
    assert gathered - GATHERED == set()


def test_no_test_reads_a_clock():
    found = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        calls = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
        if any(ast.unparse(call.func) in CLOCKS for call in calls):
            found.add(path.relative_to(ROOT / "tests").as_posix())
    assert found == set()


# Names in a run's folder, however a module would spell them: alone, in a path or as a pattern.
NAMES = {"settings.json", "log.jsonl", "weights.safetensors", "ema.safetensors", "checkpoints", "chosen.json"}
NAMES |= {"pytorch_lora_weights.safetensors", "learned_embeds.safetensors", "step_*.safetensors", "step_*.png", "step_"}


def test_the_names_in_a_runs_folder_stand_in_one_module():
    found = set()
    for path in MODULES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        constants = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
        # Not sentences, such as docstrings.
        parts = {part for text in constants if isinstance(text, str) and " " not in text for part in text.split("/")}
        if NAMES & parts:
            found.add(name_of(path))
    assert found == {"run"}
