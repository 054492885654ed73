"""Checkpoints of Lightning: what they say of the module that they are of."""

from __future__ import annotations

import warnings
import zipfile
from pathlib import Path

import torch

__all__ = ["lightning_checkpoint"]

_MARK = b"pytorch-lightning_version"
_MOST = 2**24


def lightning_checkpoint(path: Path) -> tuple[str, str] | None:
    """What a checkpoint of Lightning is, and the call that reads it; None for other files of torch.save."""
    try:
        with zipfile.ZipFile(path) as archive:
            name = next(part for part in archive.infolist() if part.filename.endswith("/data.pkl"))
            if name.file_size > _MOST or _MARK not in archive.read(name):
                return None
    except (StopIteration, zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        # NotImplementedError: what zipfile raises for an archive of a version that it does not know.
        return None
    given, names = "...", list[str]()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        given = ", ".join(f"{key}={value!r:.40}" for key, value in dict(state.get("hyper_parameters", {})).items())
        names = list(dict.fromkeys(key.partition(".")[0] for key in state["state_dict"]))
    except Exception:  # hyperparameters of other classes, which are not made; or a damaged file, of which loading tells
        pass
    model = f"YourLightningModule({given})"
    part = f"; or module={model}.{names[0]}, its network alone" if names else ""
    return (
        "a checkpoint of Lightning: weights and hyperparameters, without the class that they are of",
        f"in Python, model = neurosleep.load({path.name!r}, module={model}){part}; then neurosleep.convert(model, "
        "images), or neurosleep.save(model, 'model.onnx') for the command line",
    )
