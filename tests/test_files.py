"""Files are whole or absent, equal content has equal bytes, and what is damaged is one sentence."""

import errno
import json
import multiprocessing
import os
import subprocess
import sys

import numpy as np
import pytest
import safetensors.torch
import torch

from comics_genai import files
from comics_genai.errors import UserError

TENSORS = {"b": torch.arange(6.0).reshape(2, 3), "a": torch.tensor(True), "c": torch.ones(3, dtype=torch.bfloat16)}


def test_a_file_is_read_as_it_was_written(tmp_path):
    files.save_tensors(tmp_path / "x.safetensors", TENSORS, {"step": 3})
    tensors, record = files.load_tensors(tmp_path / "x.safetensors")
    assert record == {"step": 3} and files.record_of(tmp_path / "x.safetensors")["step"] == 3
    assert all(torch.equal(tensors[name], tensor) for name, tensor in TENSORS.items())


def flipped(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


DAMAGES = {
    "empty": lambda content: b"",
    "cut off": lambda content: content[:-1],
    "a bit of the data": lambda content: flipped(content, len(content) - 3),
    "zeros": lambda content: bytes(len(content)),
    "a web page": lambda content: b"<!DOCTYPE html><html>404</html>",
    "a pointer of Git LFS": lambda content: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12\n",
    "a pickle": lambda content: b"\x80\x04K\x01.",
    "a header that claims 2 GB": lambda content: b"\xff\xff\xff\x7f\0\0\0\0" + content[8:],
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_one_sentence(tmp_path, damage):
    path = tmp_path / "x.safetensors"
    files.save_tensors(path, TENSORS, {"step": 3})
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    with pytest.raises(UserError, match=r"x\.safetensors is damaged or not a safetensors file \(.*again\.$"):
        files.load_tensors(path)


def test_an_absent_file_is_not_called_damaged(tmp_path):
    with pytest.raises(UserError, match="There is no file .*x.safetensors"):
        files.load_tensors(tmp_path / "x.safetensors")


def test_a_file_of_others_without_a_checksum_is_read(tmp_path):
    safetensors.torch.save_file({"x": torch.ones(2)}, tmp_path / "x.safetensors", {"format": "pt", "a": "b"})
    tensors, record = files.load_tensors(tmp_path / "x.safetensors")
    assert tensors["x"].tolist() == [1, 1] and record == {}


def test_the_same_metadata_gives_the_same_bytes_in_every_process():
    code = (
        "import hashlib, torch; from comics_genai.files import safetensors_bytes\n"
        "names = set('abcdefghij')\n"
        "content = safetensors_bytes({'x': torch.ones(2)}, {name: name for name in names})\n"
        "print(hashlib.sha256(content).hexdigest())"
    )
    seeds = ("1", "2", "3")
    digests = {
        subprocess.run(
            [sys.executable, "-c", code], env=os.environ | {"PYTHONHASHSEED": seed}, capture_output=True, text=True
        ).stdout
        for seed in seeds
    }
    assert len(digests) == 1 and len(digests.pop()) == 65


def test_sorted_metadata_is_what_safetensors_reads():
    content = files.safetensors_bytes(TENSORS, {"z": "ü", "a": "1"})
    assert (int.from_bytes(content[:8], "little") + 8) % 8 == 0
    read = safetensors.torch.load(content)
    assert all(torch.equal(read[name], tensor) for name, tensor in TENSORS.items())
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    assert list(header["__metadata__"].items()) == [("a", "1"), ("z", "ü")]


ROWS = {
    "a byte-order mark": ("\ufeff" + '{"a": "x"}\n', [{"a": "x"}]),
    "U+2028 in a text": ('{"a": "x\u2028y"}\n{"a": "z"}\n', [{"a": "x\u2028y"}, {"a": "z"}]),
    "other line ends and empty lines": ('{"a": "x"}\r\n\r\n  \n{"a": "y"}', [{"a": "x"}, {"a": "y"}]),
    "no rows": ("", []),
}


@pytest.mark.parametrize("kind", ROWS)
def test_rows_are_read_however_they_were_saved(tmp_path, kind):
    content, expected = ROWS[kind]
    (tmp_path / "rows.jsonl").write_bytes(content.encode("utf-8"))
    assert files.read_rows(tmp_path / "rows.jsonl", "a") == expected


DAMAGED_ROWS = {
    "cut off": (b'{"a": "x"}\n{"a": "', "Line 2 of .*rows.jsonl is not JSON, or was cut off"),
    "a list": (b'["a"]\n', 'Line 1 of .* is no JSON object with a text "a"'),
    "rows of others": (b'{"b": "x"}\n', 'Line 1 of .* is no JSON object with a text "a"'),
    "another type": (b'{"a": 3}\n', 'Line 1 of .* is no JSON object with a text "a"'),
    "no UTF-8": (b'{"a": "\xff"}\n', "rows.jsonl is not UTF-8 text"),
    "nesting": (b"[" * 100_000, "Line 1 of .* is not JSON"),
}


@pytest.mark.parametrize("kind", DAMAGED_ROWS)
def test_damaged_rows_are_one_sentence_with_their_line(tmp_path, kind):
    content, sentence = DAMAGED_ROWS[kind]
    (tmp_path / "rows.jsonl").write_bytes(content)
    with pytest.raises(UserError, match=sentence):
        files.read_rows(tmp_path / "rows.jsonl", "a")


@pytest.mark.parametrize("content", [b"", b"[]", b"3", b"{", b"null", b"\xff", b"[" * 100_000])
def test_what_is_no_object_is_one_sentence(tmp_path, content):
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(UserError, match=r"x\.json .*\.$"):
        files.read_object(tmp_path / "x.json")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_named_whatever_is_full(number, tmp_path):
    sentence = str(files.cannot_write(tmp_path / "x", OSError(number, os.strerror(number))))
    assert sentence.startswith("The disk is full: ") and "files, where their number is limited" in sentence


def hold(folder: str, held, end) -> None:
    with files.one_writer(files.Path(folder), "taken"):
        held.set()
        end.wait(60)


def test_a_folder_has_one_writer_and_a_killed_one_leaves_no_lock(tmp_path):
    context = multiprocessing.get_context("spawn")
    held, end = context.Event(), context.Event()
    child = context.Process(target=hold, args=(str(tmp_path), held, end))
    child.start()
    assert held.wait(60)
    with pytest.raises(UserError, match="^taken$"):
        with files.one_writer(tmp_path, "taken"):
            pass
    child.kill()
    child.join(60)
    with files.one_writer(tmp_path, "taken"), files.one_writer(tmp_path, "taken"):
        pass


def test_leftovers_of_dead_writers_go_and_a_living_ones_stay(tmp_path):
    dead, mine, young = (tmp_path / f".x.{name}.partial" for name in ("999999999", os.getpid(), "999999998"))
    for path in (dead, mine, young):
        path.write_bytes(b"half")
    for path in (dead, mine):
        os.utime(path, (0, 0))
    files.remove_leftovers(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([mine.name, young.name])
    files.remove_leftovers(tmp_path, alone=True)
    assert not list(tmp_path.iterdir())


def test_the_checksum_is_of_names_types_shapes_and_data():
    base = {"x": torch.tensor(np.arange(6, dtype=np.float32))}
    others = [{"y": base["x"]}, {"x": base["x"].reshape(2, 3)}, {"x": base["x"].double()}, {"x": base["x"] + 1}, {}]
    assert len({files.checksum(tensors) for tensors in [base, *others]}) == 6


@pytest.mark.parametrize("text", ["a girl", "Ünï 一 \u2028", "half \ud83d", "\udcff"])
def test_a_line_of_json_can_be_written_and_read_whatever_it_says(text):
    line = files.json_line({"prompt": text})
    assert json.loads(line.encode()) == {"prompt": text} and "\n" not in line
