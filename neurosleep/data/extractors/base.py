"""What an extractor is: a fixed function from images to features, and all that its features depend on."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from neurosleep._guards.files import check_regular
from neurosleep.data.dataset import Array, describe
from neurosleep.errors import DataError, SettingsError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Extractor", "check_colour", "file_hash", "one_by_one"]


@dataclass(frozen=True, eq=False)
class Extractor:
    """A frozen network that turns images into feature vectors; calling it does so.

    Parameters
    ----------
    name:
        Short name for tables, such as ``"efficientnet-lite0"``.
    n_features:
        Length d of a feature vector.
    identity:
        Everything else that decides the values: checksum of the weights, size and scaling of the input, the layer read.
        Two extractors with the same name and identity must give the same features: they share the cached ones.
    function:
        Takes uint8 images ``[n, height, width, 3]`` and gives float32 ``[n, d]``. Row i may depend on image i only.

    Raises
    ------
    SettingsError
        If a part of it cannot be used.

    See Also
    --------
    make_extractor : those of the package
    extract_features : runs one over a data set

    Examples
    --------
    >>> import numpy as np
    >>> from neurosleep.data import Extractor
    >>> colour = Extractor("mean-colour", 3, {"version": "1"}, lambda x: x.mean(axis=(1, 2), dtype="float32"))
    >>> colour(np.full((2, 4, 4, 3), 51, dtype=np.uint8)).shape
    (2, 3)
    """

    name: str
    n_features: int
    identity: Mapping[str, str]
    function: Callable[[Array], Array] = field(repr=False)

    def __post_init__(self) -> None:
        if not self.name or not isinstance(self.n_features, int) or self.n_features < 1 or not callable(self.function):
            raise SettingsError(
                f"The extractor {self.name!r} cannot be used.",
                found=f"n_features {self.n_features!r}, function {self.function!r}",
                expected="a name, at least one feature, and a function of images",
            )
        if not self.identity or not all(isinstance(v, str) for pair in self.identity.items() for v in pair):
            raise SettingsError(
                f"The extractor {self.name!r} does not say what its features depend on.",
                found=f"identity {self.identity!r}",
                expected="a mapping of text to text, such as {'weights': SHA-256, 'input': '224 bilinear'}",
                hint="cached features are found by it, so a change of weights or input size must change it",
            )

    @property
    def key(self) -> str:
        """Name of its folder in the cache: its name and 16 hexadecimal digits of its identity."""
        text = json.dumps([self.name, self.n_features, sorted(self.identity.items())])
        return f"{self.name}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"

    def __call__(self, images: Array) -> Array:
        """Features of ``images`` (uint8 ``[n, height, width, 3]``): float32 ``[n, n_features]``.

        Raises
        ------
        DataError
            If the function gave something else, or values that are not finite.
        """
        features = np.asarray(self.function(images))
        wanted = (len(images), self.n_features)
        if features.shape != wanted or features.dtype != np.float32:
            raise DataError(
                f"The extractor {self.name!r} did not give the features it should.",
                found=f"{features.dtype} of shape {list(features.shape)}",
                expected=f"float32 of shape {list(wanted)}",
            )
        if not np.isfinite(features).all():
            row = int(np.flatnonzero(~np.isfinite(features).all(axis=1))[0])
            raise DataError(
                f"The extractor {self.name!r} gave features that are NaN or infinite.",
                found=f"the first for image {row} of the {len(images)} given at once",
                expected="finite values",
                hint="its weights are probably damaged",
            )
        return features


def check_colour(images: Array, name: str) -> None:
    """Refuse images that are not uint8 RGB, ``[n, height, width, 3]``; ``name`` is the extractor's.

    Raises
    ------
    DataError
        If they are not.
    """
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3:
        raise DataError(
            f"The extractor {name!r} cannot read these images.",
            found=f"images of {describe(images)}",
            expected="colour images, height x width x 3 uint8",
            hint="grey images [n, h, w] become colour ones by np.repeat(images[..., None], 3, axis=3)",
        )


def one_by_one(images: Array, n_features: int, function: Callable[[Tensor], Tensor]) -> Array:
    """Features ``[n, n_features]`` of uint8 images ``[n, height, width, 3]``, each image computed on its own.

    ``function`` takes float32 ``[1, 3, height, width]`` in 0..255 and gives ``[1, n_features]``. In a batch, how sums
    are split over a CPU depends on the size of the batch, and with it the last bits; alone, an image always gives the
    same features. Small maps also stay in the caches, so this is about as fast.
    """
    import torch

    features = np.empty((len(images), n_features), np.float32)
    with torch.inference_mode():
        for row, image in enumerate(images):
            x = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[None].float()
            features[row] = function(x)[0].numpy()
    return features


def file_hash(path: Path) -> str:
    """SHA-256 of a file of weights.

    Raises
    ------
    DataError
        If it cannot be read.
    """
    try:
        if os.path.exists(path):
            check_regular(path, DataError, expected="a file of weights")
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise DataError(
            f"The weights {path.name} cannot be read.", found=error.strerror or str(error), expected="a readable file"
        ) from error
