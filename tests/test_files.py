"""Files are whole or not there, whatever their names and disks; a lock ends with its process."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import neurosleep as ns
from neurosleep._files import (
    check_folder,
    discard,
    hold_lock,
    remove_leftovers,
    take_lock,
    temporary_beside,
    write_whole,
)
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
    "animation": (lambda path: _animation._write_gif(frames(), 1, path), "a.gif", RunFolderError),
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


@pytest.mark.parametrize("content", [b"abc", "abc", lambda path: path.write_bytes(b"abc")])
def test_a_file_is_written_with_its_folders_and_nothing_else(tmp_path: Path, content: object) -> None:
    path = write_whole(tmp_path / "a" / "b.txt", content)  # type: ignore[arg-type]
    assert path.read_bytes() == b"abc" and [entry.name for entry in path.parent.iterdir()] == ["b.txt"]


@pytest.mark.parametrize("problem", [OSError(28, "No space left on device"), ValueError("ours"), KeyboardInterrupt()])
def test_what_fails_half_way_leaves_the_old_file_and_no_temporary_one(tmp_path: Path, problem: BaseException) -> None:
    path = write_whole(tmp_path / "x", "old")

    def half(temporary: Path) -> None:
        temporary.write_text("ne")
        raise problem

    expected = ExchangeError if isinstance(problem, OSError) else type(problem)
    with pytest.raises(expected):
        write_whole(path, half, error=ExchangeError)
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_content_reaches_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []
    sync = os.fsync

    def watch(descriptor: int) -> None:
        seen.append(sorted(entry.name for entry in tmp_path.iterdir()))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", watch)
    write_whole(tmp_path / "x", "new")
    assert seen == [[f".x.{os.getpid()}.tmp"]]


@pytest.mark.parametrize("blocked", [lambda path: path.parent.touch(), lambda path: path.mkdir(parents=True)])
def test_a_file_or_a_folder_in_the_way_is_named(tmp_path: Path, blocked: Callable[[Path], None]) -> None:
    path = tmp_path / "folder" / "file"
    blocked(path)
    with pytest.raises(RunFolderError, match="cannot be written") as caught:
        write_whole(path, "x")
    assert caught.value.found


def test_a_lock_keeps_another_process_out_until_its_own_is_killed(tmp_path: Path) -> None:
    code = f"""
        from neurosleep._files import take_lock
        lock = take_lock({str(tmp_path / "lock")!r})
        print(lock is not None, flush=True)
        input()
    """
    holder = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None and holder.stdout.readline() == "True\n"
    assert take_lock(tmp_path / "lock") is None
    holder.kill()
    holder.communicate()
    lock = take_lock(tmp_path / "lock")
    assert lock is not None
    lock.release()
    with hold_lock(tmp_path / "lock"):
        assert (tmp_path / "lock").exists()


def test_a_missing_folder_is_made_only_where_it_should_be(tmp_path: Path) -> None:
    with pytest.raises(ExchangeError, match="The net cannot be written"):
        write_whole(tmp_path / "missing" / "x", "x", folders=False, what="The net", error=ExchangeError)
    assert list(tmp_path.iterdir()) == []


def test_every_subpackage_imports_where_there_is_no_fcntl() -> None:
    """As on Windows."""
    root = Path(ns.__file__).parent
    packages = sorted(".".join(path.parent.relative_to(root.parent).parts) for path in root.rglob("__init__.py"))
    assert len(packages) > 30
    code = f"import sys, importlib; sys.modules['fcntl'] = None\nfor name in {packages}: importlib.import_module(name)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
