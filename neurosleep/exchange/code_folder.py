"""A folder that rebuilds a network with another tool: its weights, and a short Python file a person can read."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from safetensors.torch import save as to_bytes
from torch import Tensor

from neurosleep._files import temporary_beside
from neurosleep.errors import ExchangeError

__all__ = ["SOURCE", "WEIGHTS", "write_folder"]

#: Names of the two files.
SOURCE, WEIGHTS = "model.py", "weights.safetensors"

# Python leaves this beside a module that was imported.
_OURS = {SOURCE, WEIGHTS, "__pycache__"}


def write_folder(
    path: str | Path, tensors: Mapping[str, Tensor], source: str | Iterable[str], metadata: Mapping[str, str]
) -> Path:
    """Write ``weights.safetensors`` and ``model.py`` into a folder, both whole or neither.

    A folder that holds nothing else is replaced; any other is left as it is and refused.

    Parameters
    ----------
    path:
        The folder; the one around it must be there.
    tensors:
        The weights by name; two names for one memory are written twice.
    source:
        The Python file, as one text or as lines without their ends.
    metadata:
        Texts that the weights' file carries.

    Raises
    ------
    ExchangeError
        If the folder holds anything else, or cannot be written.
    """
    path = Path(os.path.abspath(path))
    text = source if isinstance(source, str) else "\n".join(source)
    weights = to_bytes({name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()}, dict(metadata))
    temporary, aside = (temporary_beside(path, end) for end in ("tmp", "old"))
    try:
        if path.is_symlink() or (path.exists() and not path.is_dir()):
            raise ExchangeError(f"{str(path)!r} is no folder.", expected="a new folder, or one written before")
        others = sorted(set(os.listdir(path)) - _OURS) if path.is_dir() else []
        if others:
            raise ExchangeError(
                f"The folder {str(path)!r} holds other files, which would be lost.",
                found=", ".join(others[:4]),
                expected="a new folder, an empty one, or one written before",
            )
        temporary.mkdir()
        (temporary / WEIGHTS).write_bytes(weights)
        (temporary / SOURCE).write_text(text.rstrip("\n") + "\n", encoding="utf-8")
        # A folder that is not empty cannot be written over in one step; in between there is none rather than a half.
        if path.is_dir():
            path.rename(aside)
        temporary.rename(path)
    except OSError as error:
        if aside.is_dir() and not path.exists():
            aside.rename(path)
        raise ExchangeError(
            f"{str(path)!r} cannot be written.", found=error.strerror or str(error), hint="name another place"
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    shutil.rmtree(aside, ignore_errors=True)
    return path
