"""A small VGG-like network trained on the Tiny ImageNet subset: the nearest to the published features of CIFAR-10.

Sleep Replay Consolidation (Tadros et al., Nature Communications 2022) reads CIFAR-10 through a VGG-like network trained
on Tiny ImageNet, which is not released. This one is trained by ``tools/train_vgg_features.py``.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from neurosleep._guards.files import check_regular
from neurosleep.data.dataset import Array
from neurosleep.data.extractors.base import Extractor, check_colour, file_hash, one_by_one
from neurosleep.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["vgg_tiny_imagenet"]

NAME = "vgg-tiny-imagenet"
FILE = "vgg_tiny_imagenet.safetensors"
SIDE = 32
N_FEATURES = 2048
REBUILD = (
    f"python tools/train_vgg_features.py --data DIR writes it; or put a file {FILE} of your own into the data folder"
)


def vgg_tiny_imagenet(folder: Path | None = None, *, weights: Path | None = None) -> Extractor:
    """The extractor ``vgg-tiny-imagenet``: 2048 features, the last map (512 x 2 x 2) after ReLU and pooling.

    Images of another size are resized to 32 x 32 (bilinear, averaging) and scaled to ``x / 127.5 - 1``.

    Parameters
    ----------
    folder:
        Folder that may hold a file of weights of one's own; the packaged one is used where it does not.
    weights:
        The file itself: safetensors with ``layers.K.weight``, ``layers.K.bias`` (3x3 convolutions, batch normalisation
        folded in) and, as JSON in its metadata, ``pools``: after which layers a 2x2 maximum is taken.

    Raises
    ------
    DataError
        If there is no such file, or it cannot be read or holds another network.
    """
    path = weights if weights is not None else _find(folder)
    digest = file_hash(path)
    network = _read(path)

    def function(images: Array) -> Array:
        check_colour(images, NAME)
        return one_by_one(images, N_FEATURES, network)

    identity = {
        "weights": digest,
        "input": "32x32 bilinear, x / 127.5 - 1",
        "layer": "last map after ReLU and pooling (512 x 2 x 2)",
    }
    return Extractor(NAME, N_FEATURES, identity, function)


@dataclass(frozen=True)
class _Network:
    layers: tuple[tuple[Tensor, Tensor], ...]
    pools: frozenset[int]

    def __call__(self, x: Tensor) -> Tensor:
        from torch.nn import functional as F

        if x.shape[2:] != (SIDE, SIDE):
            x = F.interpolate(x, size=(SIDE, SIDE), mode="bilinear", align_corners=False, antialias=True)
        x = x / 127.5 - 1
        for k, (weight, bias) in enumerate(self.layers):
            x = F.conv2d(x, weight, bias, padding=1).relu_()
            if k in self.pools:
                x = F.max_pool2d(x, 2)
        return x.flatten(1)


def _find(folder: Path | None) -> Path:
    packaged = Path(str(files("neurosleep.data").joinpath("_vgg", FILE)))
    for path in ([folder / FILE] if folder is not None else []) + [packaged]:
        if os.path.exists(path):
            check_regular(path, DataError, expected=FILE)
            return path
    raise DataError(
        f"The weights of the extractor {NAME!r} are not at hand.", found=f"no file {FILE}", expected=FILE, hint=REBUILD
    )


def _read(path: Path) -> _Network:
    import torch
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            header = json.loads((file.metadata() or {})["neurosleep"])
            names = set(file.keys())
            layers = tuple(
                (file.get_tensor(f"layers.{k}.weight").float(), file.get_tensor(f"layers.{k}.bias").float())
                for k in range(len(names) // 2)
            )
        network = _Network(layers, frozenset(int(k) for k in header["pools"]))
        with torch.inference_mode():
            wide = network(torch.zeros(1, 3, SIDE, SIDE)).shape[1]
        if wide != N_FEATURES:
            raise ValueError(f"{wide} features")
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise DataError(
            f"{path.name} does not hold the weights of the extractor {NAME!r}.",
            found=" ".join(str(error).split())[:200],
            expected=f"3x3 convolutions and pools that end in {N_FEATURES} features",
            hint=REBUILD,
        ) from error
    return network
