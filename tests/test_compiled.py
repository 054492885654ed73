"""The cache of compiled code: damaged, out of date, nowhere to be written; the answer is always that of the source."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numba
import pytest
from numba.core import caching

from neurosleep._compiled import compiled

CALLEE = "from neurosleep._compiled import compiled\n\n@compiled()\ndef inner(x):\n    return x + {}\n"
CALLER = (
    "from neurosleep._compiled import compiled\nfrom callee import inner, FACTOR\n\n@compiled()\n"
    "def outer(x):\n    return FACTOR * inner(x)\n"
)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "cache"
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(folder))
    monkeypatch.setattr(caching._CacheLocator, "get_suitable_cache_subpath", classmethod(lambda cls, file: ""))
    yield folder


def load(folder: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module of a file, anew each time, as a new process would have it."""
    # Python tells sources apart by their second and length, which two in one test may share.
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    specification = importlib.util.spec_from_file_location(name, folder / f"{name}.py")
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    monkeypatch.setitem(sys.modules, name, module)
    specification.loader.exec_module(module)
    return module


def hits(function: Any) -> int:
    return sum(function.stats.cache_hits.values())


def write(folder: Path, added: int, factor: int) -> None:
    (folder / "callee.py").write_text(CALLEE.format(added) + f"\nFACTOR = {factor}\n")
    (folder / "caller.py").write_text(CALLER)


@pytest.mark.parametrize("ending", ["nbi", "nbc"])
def test_a_damaged_cache_is_made_anew(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    write(tmp_path, 1, 1)
    assert load(tmp_path, "callee", monkeypatch).inner(1) == 2
    kept = tmp_path / "kept"
    shutil.copytree(cache, kept)
    (name,) = (path.name for path in kept.glob(f"*.{ending}"))
    whole = (kept / name).read_bytes()
    middle = len(whole) // 2
    flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
    for content in (b"", whole[:middle], whole[:-1], whole + b"\0", flipped, b"cnonexistent\nname\n."):
        (cache / name).write_bytes(content)
        function = load(tmp_path, "callee", monkeypatch).inner
        assert (function(1), hits(function)) == (2, 0)
        again = load(tmp_path, "callee", monkeypatch).inner
        assert (again(1), hits(again)) == (2, 1)
    # What is no file at all stays where it is; it costs the cache and nothing else.
    (cache / name).unlink()
    (cache / name).mkdir()
    assert load(tmp_path, "callee", monkeypatch).inner(1) == 2


def test_code_is_out_of_date_when_a_function_or_a_constant_from_another_file_has_changed(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for added, factor in ((1, 10), (2, 10), (2, 100)):
        write(tmp_path, added, factor)
        load(tmp_path, "callee", monkeypatch)
        assert load(tmp_path, "caller", monkeypatch).outer(1) == factor * (1 + added)
    again = load(tmp_path, "caller", monkeypatch).outer
    assert (again(1), hits(again)) == (300, 1)


def test_an_index_beside_the_code_of_an_older_source_is_not_believed(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that is killed between the two writes the one and not the other."""
    write(tmp_path, 1, 1)
    assert load(tmp_path, "callee", monkeypatch).inner(1) == 2
    (code,) = cache.glob("*.nbc")
    old = code.read_bytes()
    write(tmp_path, 5, 1)
    assert load(tmp_path, "callee", monkeypatch).inner(1) == 6
    code.write_bytes(old)
    assert load(tmp_path, "callee", monkeypatch).inner(1) == 6


def test_without_a_folder_that_can_be_written_there_is_no_cache(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Any) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(caching._CacheLocator, "ensure_cache_path", refuse)
    write(tmp_path, 1, 1)
    assert load(tmp_path, "callee", monkeypatch).inner(1) == 2
    assert not cache.exists()


def test_a_folder_that_becomes_full_or_read_only_costs_the_cache_only(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    write(tmp_path, 1, 1)
    function = load(tmp_path, "callee", monkeypatch).inner
    monkeypatch.setattr(os, "replace", full)
    assert function(1) == 2
    assert not list(cache.iterdir())


def test_every_compiled_function_of_the_package_has_this_cache() -> None:
    root = Path(__file__).parents[1] / "neurosleep"
    direct = [path for path in root.rglob("*.py") if "njit(" in path.read_text(encoding="utf-8")]
    assert direct == [root / "_compiled.py"]
    assert compiled()(lambda x: x).py_func(3) == 3  # type: ignore[attr-defined]
