"""torchvision's ResNet-50, pretrained on ImageNet, from a file of weights that the user has.

K. He et al., "Deep Residual Learning for Image Recognition", CVPR 2016.
"""

from __future__ import annotations

import importlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from neurosleep.data.dataset import Array
from neurosleep.data.extractors.base import Extractor, check_colour, file_hash, one_by_one
from neurosleep.errors import DataError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = ["resnet50"]

NAME = "resnet50"
N_FEATURES = 2048
# The published files; the digits in a name are the first of its SHA-256.
FILES = ("resnet50-11ad3fa6.pth", "resnet50-0676ba61.pth", "resnet50-19c8e357.pth")
URL = "https://download.pytorch.org/models/"
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def resnet50(folder: Path | None = None, *, weights: Path | None = None) -> Extractor:
    """The extractor ``resnet50``: the 2048 features before the last layer, of images resized to 224 x 224 (bilinear).

    The weights (98 MB) are never downloaded here; a missing file is an error that says where to get it.

    Parameters
    ----------
    folder:
        Folder that may hold the file, searched before torch's own cache (``$TORCH_HOME/hub/checkpoints``).
    weights:
        The file itself.

    Raises
    ------
    DataError
        If there is no such file, or it cannot be read or holds other weights.
    """
    path = weights if weights is not None else _find(folder)
    digest = file_hash(path)
    named = re.fullmatch(r"resnet50-([0-9a-f]{8})\.pth", path.name)
    if named is not None and not digest.startswith(named[1]):
        raise DataError(
            f"The weights {path.name} are damaged.",
            found=f"SHA-256 {digest}",
            expected=f"one that starts with {named[1]}, as the name says",
            hint=f"download the file again from {URL}{path.name}",
        )
    step = _network(path)

    def function(images: Array) -> Array:
        check_colour(images, NAME)
        return one_by_one(images, N_FEATURES, step)

    identity = {
        "weights": digest,
        "input": "224x224 bilinear, / 255, ImageNet mean and deviation",
        "layer": "mean over places before the last layer (2048)",
    }
    return Extractor(NAME, N_FEATURES, identity, function)


def _find(folder: Path | None) -> Path:
    import torch

    places = [*([folder] if folder is not None else []), Path(torch.hub.get_dir()) / "checkpoints"]
    for place in places:
        for file in FILES:
            if os.path.isfile(place / file):
                return place / file
    raise DataError(
        "The weights of the extractor 'resnet50' are not at hand, and they are not downloaded without being asked for.",
        found="none of the files",
        expected=f"{', '.join(FILES)} in {' or '.join(str(place) for place in places)}",
        hint=f"download {URL}{FILES[0]} (98 MB) into one of these folders, or use the extractor 'efficientnet-lite0'",
    )


def _network(path: Path) -> _Step:
    import torch

    model = importlib.import_module("torchvision.models").resnet50()
    try:
        model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    # torch raises many kinds for a damaged or foreign file; none of them executes anything.
    except Exception as error:
        raise DataError(
            f"{path.name} does not hold the weights of torchvision's ResNet-50.",
            found=f"{type(error).__name__}: {' '.join(str(error).split())[:200]}",
            expected="a file of weights as published by torchvision",
        ) from error
    model.fc = torch.nn.Identity()
    return _Step(model.eval())


class _Step:
    """Features ``[1, 2048]`` of one image ``[1, 3, h, w]`` in 0..255."""

    def __init__(self, model: torch.nn.Module) -> None:
        import torch

        self.model = model
        self.mean = torch.tensor(MEAN)[:, None, None]
        self.deviation = torch.tensor(DEVIATION)[:, None, None]

    def __call__(self, x: Tensor) -> Tensor:
        from torch.nn import functional as F

        x = F.interpolate(x, size=(224, 224), mode="bilinear", align_corners=False, antialias=True)
        features: Tensor = self.model((x / 255 - self.mean) / self.deviation)
        return features
