"""What is written whole or not at all: long names, and disks that cannot be written."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import neurosleep as ns
from neurosleep._files import check_folder, discard, remove_leftovers, temporary_beside
from neurosleep.analysis import Table
from neurosleep.data import features
from neurosleep.errors import DataError, ExchangeError, NeurosleepError, RunFolderError
from neurosleep.exchange.code_folder import write_folder
from neurosleep.experiments import run_folder
from neurosleep.plot import _animation, _style, figure
from neurosleep.spiking.recording import table_files as _table_files


@pytest.mark.parametrize("name", ["model.nir", "o" * 250, "é" * 127, "\udcff" * 255])
def test_the_temporary_name_of_every_name_is_one_that_a_file_may_have(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    temporary = temporary_beside(path)
    assert temporary.parent == path.parent
    assert temporary.name.startswith(".") and temporary.name.endswith(f".{os.getpid()}.tmp")
    assert len(os.fsencode(temporary.name)) <= 255
    temporary.write_bytes(b"1")
    temporary.replace(path)
    assert path.read_bytes() == b"1"


def test_the_temporary_name_says_whose_it_is(tmp_path: Path) -> None:
    assert temporary_beside(tmp_path / "a.csv") == tmp_path / f".a.csv.{os.getpid()}.tmp"


def frames() -> list[Any]:
    image = pytest.importorskip("PIL.Image")
    return [image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]


WRITERS: dict[str, tuple[Callable[[Path], Any], str, type[NeurosleepError]]] = {
    "run folder": (lambda path: run_folder.write_whole(path, "text"), "a.csv", RunFolderError),
    "monitor": (lambda path: _table_files.write_arrays(path, {"a": torch.ones(2).numpy()}), "a.npz", RunFolderError),
    "features": (lambda path: features._write_part(path, torch.ones(2, 2).numpy()), "a.npy", DataError),
    "figure": (lambda path: _style.save(figure(1, 1), path), "a.png", RunFolderError),
    "animation": (lambda path: _animation._write(frames(), 1, path), "a.gif", RunFolderError),
    "table": (lambda path: Table.from_rows([{"a": 1}]).to_csv(path), "a.csv", RunFolderError),
    "network": (lambda path: ns.save(ns.MLP([4, 3]), path), "a.safetensors", ExchangeError),
    "folder": (lambda path: write_folder(path, {"a": torch.ones(2)}, "a = 1", {}), "a", ExchangeError),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_a_disk_on_which_nothing_can_be_made_or_removed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """On a read-only file system, removing a file that is not there fails as well, and not with FileNotFoundError."""
    write, name, error = WRITERS[kind]

    def refused(*arguments: Any, **more: Any) -> Any:
        raise OSError(30, "Read-only file system")

    path = tmp_path / "out" / name
    path.parent.mkdir()
    write(path)
    kept = path.stat().st_mtime_ns
    with monkeypatch.context() as patch:
        for change in ("unlink", "mkdir", "replace", "rename", "write_bytes", "write_text"):
            patch.setattr(Path, change, refused)
        patch.setattr(os, "replace", refused)
        with pytest.raises(error, match="Read-only file system"):
            write(path)
    assert path.stat().st_mtime_ns == kept
    for left in path.parent.iterdir():  # only what could not be removed
        discard(left)


def test_what_cannot_be_removed_is_left_without_a_word(tmp_path: Path) -> None:
    discard(tmp_path / "missing")
    discard(tmp_path / "missing" / "deeper")
    folder = tmp_path / "folder"
    (folder / "inner").mkdir(parents=True)
    discard(folder)
    assert not folder.exists()
    discard(Path("/proc/version"))


def test_a_folder_that_cannot_be_is_found_before_anything_is_made(tmp_path: Path) -> None:
    check_folder(tmp_path / "a" / "b" / "c", "choose another")
    (tmp_path / "file").write_text("")
    for wrong, said in (
        (tmp_path / ("o" * 300), "File name too long"),
        (tmp_path / "new" / ("o" * 300) / "x", "300 bytes"),
        (tmp_path / "new" / ("é" * 200), "400 bytes"),
        (tmp_path / "file" / "x", "is a file"),
        (tmp_path / "with\0nul", "null"),
    ):
        with pytest.raises(RunFolderError, match=said):
            check_folder(wrong, "choose another")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    inner = tmp_path / "spikes"
    inner.mkdir()
    dead = 2**22 + 1  # more than a system has processes
    for place in (tmp_path, inner):
        for name in (f".a.csv.{dead}.tmp", f".b.npz.{os.getpid()}.tmp", "a.csv", ".hidden", ".a.tmp", "c.1.tmp"):
            (place / name).write_text("")
    (tmp_path / "elsewhere").symlink_to(inner)
    remove_leftovers(tmp_path, of_the_dead=True)
    assert not (tmp_path / f".a.csv.{dead}.tmp").exists() and (tmp_path / f".b.npz.{os.getpid()}.tmp").exists()
    assert len(list(inner.iterdir())) == 6
    remove_leftovers(tmp_path)
    assert {path.name for path in inner.iterdir()} == {"a.csv", ".hidden", ".a.tmp", "c.1.tmp"}
    assert not (tmp_path / f".b.npz.{os.getpid()}.tmp").exists()
