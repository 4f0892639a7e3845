"""Check names of files, folders and repositories that other people chose, so that none leads to where it should not.

inside(folder, row["file_name"], "metadata.jsonl")      a file below the folder, links followed
plain_name("UnicornGirl", "The identifier")              one part of a path
repository("owner/name")                                 a repository on the Hub
"""

import re
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id

from comics_genai.errors import UserError

LONGEST_NAME = 120  # bytes of one part of a path: file systems allow 255, and a method or a suffix is appended
FORBIDDEN = re.compile(r"[\x00-\x1f\x7f/\\]")  # not allowed in a name: separators of paths, and line breaks
UNFIT = re.compile(r'[:*?"<>|\s]+')  # not allowed in a file's name: Windows refuses them, and a shell splits at spaces
RESERVED = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?", re.IGNORECASE)
HUB_ID = re.compile(r"[A-Za-z0-9_][\w.-]*/[A-Za-z0-9_][\w.-]*", re.ASCII)


def inside(root: Path, name: Any, whose: str) -> Path:
    """The path of `name` below `root`; it need not exist.

    whose: where the name was read, for the message. Raises UserError if the name is not a text, or leads out of `root`
    by itself or through a link.
    """
    if not isinstance(name, str) or not name or "\x00" in name:
        raise UserError(f"{whose} names the file {name!r}, which is not a file's name: correct it or leave it out.")
    parts = {*PurePosixPath(name).parts, *PureWindowsPath(name).parts}
    absolute = PurePosixPath(name).is_absolute() or PureWindowsPath(name).anchor
    path = root / name
    if absolute or ".." in parts or not lies_in(root, path):
        raise UserError(f"{whose} names {name}, which lies outside of {root}: copy it there or leave it out.")
    return path


def lies_in(root: Path, path: Path) -> bool:
    """Whether the path, after its links are followed, leads to a place in `root`."""
    try:
        return path.resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError):  # a circle of links, or a name that is too long
        return False


def links_outside(folder: Path) -> list[Path]:
    """The links in `folder`, at any depth, that lead out of it."""
    return [path for path in sorted(folder.rglob("*")) if path.is_symlink() and not lies_in(folder, path)]


def plain_name(name: Any, what: str) -> str:
    """Return `name` if it is one line of text that can become part of a path; raise UserError if it is not."""
    why = ""
    if not isinstance(name, str) or not name.strip():
        why = "is empty" if isinstance(name, str) else "is no text"
    elif found := FORBIDDEN.search(name):
        why = f"holds {found[0]!r}, which a file's name cannot"
    elif name != name.strip() or name.startswith((".", "-")) or name.endswith("."):
        why = "begins or ends with a space, a dot or a dash"
    elif RESERVED.fullmatch(name) or len(name.encode("utf-8", "surrogatepass")) > LONGEST_NAME:
        why = "is too long or a name that a system keeps for itself"
    elif not encodable(name):
        why = "holds half a character"
    if why:
        shown = repr(name) if len(repr(name)) < 80 else f"{str(name)[:60]!r}…"
        raise UserError(f"{what} {shown} {why}: give a word such as UnicornGirl.")
    return name


def file_name(name: str) -> str:
    """The name in letters that every system allows in the names of files and folders."""
    return UNFIT.sub("_", plain_name(name, "The name")).strip("_") or "character"


def encodable(text: str) -> bool:
    """Whether UTF-8 can say the text: one with half a character, as a name in another encoding is read, is none."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def repository(name: Any) -> str:
    """Return `name` if it can be the name of a repository on the Hub, OWNER/NAME; raise UserError if it cannot."""
    if not is_repository(name):
        raise UserError(f"{str(name)[:100]!r} cannot be a name on the Hub: give OWNER/NAME, such as me/mygirl.")
    return name


def is_repository(name: Any) -> bool:
    """Whether the text can be the name of a repository on the Hub, OWNER/NAME."""
    if not isinstance(name, str) or not HUB_ID.fullmatch(name):
        return False
    try:
        validate_repo_id(name)
    except HFValidationError:
        return False
    return not name.endswith(".git")


def is_place(text: str) -> bool:
    """Whether a text is one line and an absolute path, on this system or another."""
    absolute = PurePosixPath(text).is_absolute() or bool(PureWindowsPath(text).drive)
    return (absolute or text.startswith(("~/", "\\"))) and "\n" not in text


def is_local(name: str) -> bool:
    """Whether this machine would read the name, which others recorded, as one of its own files or folders."""
    if is_place(name) or name.startswith(".") or "\\" in name or "\x00" in name:
        return True
    try:
        return Path(name).exists()
    except OSError:
        return False


def from_elsewhere(name: Any, names: frozenset[str], what: str, option: str) -> str:
    """Return `name` if other people's record may choose it: one of `names`, or a repository that is not a folder here.

    what: the record's owner, for the message. option: the option by which the user chooses another. Raises UserError
    for any other name.
    """
    if isinstance(name, str) and (name in names or (is_repository(name) and not is_local(name))):
        return name
    raise UserError(
        f"{what} names {str(name)[:100]!r}, a folder of the machine it was made on: give {option} for this machine."
    )
