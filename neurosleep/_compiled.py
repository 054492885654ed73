"""Compiled functions whose cache on disk may save time, and never costs an answer.

Numba's own cache ends a program where it cannot be written at all (a read-only installation without a home folder) or
where a file in it is damaged (a full disk, a crash), and it may hand out code that is out of date: it looks at the file
of a function, not at those of the functions that it calls. Here every file of the cache ends with a checksum, also over
the sources; whatever does not fit is compiled anew, and without a folder for it there is no cache.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
from collections.abc import Callable, Iterator
from types import FunctionType
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numba.core import caching

__all__ = ["compiled"]

Function = TypeVar("Function", bound=Callable[..., Any])

# They have no types of their own.
_FunctionCache: Any = caching.FunctionCache
_IndexDataCacheFile: Any = caching.IndexDataCacheFile


def compiled(**options: Any) -> Callable[[Function], Function]:
    """A decorator: ``numba.njit`` with these options and this module's cache; other threads run meanwhile."""

    def decorate(function: Function) -> Function:
        dispatcher: Any = numba.njit(nogil=True, **options)(function)
        # With NUMBA_DISABLE_JIT it is the plain function.
        if hasattr(dispatcher, "enable_caching"):
            # RuntimeError: no folder can be written.
            with contextlib.suppress(RuntimeError, OSError):
                dispatcher._cache = _Cache(cast(FunctionType, function))
        return cast(Function, dispatcher)

    return decorate


class _Cache(_FunctionCache):  # type: ignore[misc, unused-ignore]
    def __init__(self, function: FunctionType) -> None:
        super().__init__(function)
        self.sources = _sources(function, self._impl.locator.get_source_stamp())
        self._cache_file = _Files(self._cache_path, self._impl.filename_base, self.sources)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Exception:
            # Whatever it is that cannot be read or rebuilt: compiling it anew is always right.
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        # A folder that has become full or read-only since.
        with contextlib.suppress(OSError):
            super().save_overload(sig, data)


class _Files(_IndexDataCacheFile):  # type: ignore[misc, unused-ignore]
    """Numba's index and its files of code, each followed by a checksum, which Numba itself reads over."""

    @contextlib.contextmanager
    def _open_for_write(self, filepath: str) -> Iterator[io.BytesIO]:
        buffer = io.BytesIO()
        yield buffer
        content = buffer.getvalue()
        with super()._open_for_write(filepath) as file:
            file.write(content + self._checksum(content))

    def _load_index(self) -> Any:
        return super()._load_index() if self._is_whole(self._index_path) else {}

    def _load_data(self, name: str) -> Any:
        return super()._load_data(name) if self._is_whole(self._data_path(name)) else None

    def _is_whole(self, path: str) -> bool:
        try:
            with open(path, "rb") as file:
                content = file.read()
        except OSError:
            return False
        size = hashlib.sha256().digest_size
        return content[-size:] == self._checksum(content[:-size])

    def _checksum(self, content: bytes) -> bytes:
        # A process that was killed between the index and the code leaves new beside old: the sources tell them apart.
        return hashlib.sha256(content + repr((self._version, self._source_stamp)).encode()).digest()


def _sources(function: FunctionType, own: Any) -> str:
    """What the code of a function depends on: its file, and what it takes from others."""
    used = []
    for name in function.__code__.co_names:
        value = function.__globals__.get(name)
        cache = getattr(value, "_cache", None)
        if isinstance(cache, _Cache):
            used.append((name, cache.sources))
        elif isinstance(value, bool | int | float | tuple | np.generic):
            used.append((name, repr(value)))
    return hashlib.sha256(repr((own, used, "nogil")).encode()).hexdigest()
