"""Features of a data set by a frozen network, computed once and kept by what they were computed from."""

from __future__ import annotations

import hashlib
import os
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neurosleep._checks import check_count
from neurosleep._files import write_whole
from neurosleep._guards.arrays import read_npy, save_npy
from neurosleep._guards.files import check_regular
from neurosleep.data.dataset import Array, Dataset
from neurosleep.data.extractors.base import Extractor
from neurosleep.errors import DataError, SettingsError

__all__ = ["content_hash", "extract_features", "features_of"]

Progress = Callable[[int, int], None]


def extract_features(
    dataset: Dataset,
    extractor: Extractor,
    *,
    cache_dir: str | os.PathLike[str],
    batch: int = 500,
    progress: Progress | None = None,
    name: str | None = None,
) -> Dataset:
    """The data set with feature vectors in place of its images.

    The work is kept in parts of ``batch`` images. A part is found again by the content of its images and the identity
    of the extractor, whatever data set it belongs to: after a kill only the part in work is lost, and where images
    change only their parts are computed anew.

    Parameters
    ----------
    dataset:
        Its images are what the extractor takes: uint8 ``[n, height, width, 3]``.
    extractor:
        The frozen network; see :class:`~neurosleep.data.Extractor`.
    cache_dir:
        Folder of the parts, ``<extractor>-<identity>/<content>.npy``; made if it is missing.
    batch:
        Images in a part, at least 1. Another number means other parts, so keep the default.
    progress:
        Called with (images done, images in all) after each part. Left out: a line on stderr where that is a terminal.
    name:
        Name of the result. Left out: that of the data set and of the extractor, with a hyphen between.

    Returns
    -------
    A :class:`~neurosleep.data.Dataset` with float32 features ``[n, d]``, the same labels, and an origin that names the
    extractor.

    Raises
    ------
    SettingsError
        If ``extractor`` has no identity (a plain function) or ``batch`` is not positive.
    DataError
        If the extractor cannot read the images, gives values that are not finite, or the cache cannot be written.

    See Also
    --------
    Extractor, make_extractor : the frozen networks
    load_feature_file : features computed elsewhere
    scale_by_maximum : brings features to 0..1

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from neurosleep.data import Dataset, Extractor, extract_features
    >>> images, labels = np.zeros((4, 8, 8, 3), dtype=np.uint8), np.array([0, 1, 0, 1])
    >>> mine = Dataset("mine", images, labels, images, labels, n_classes=2, origin="made by hand")
    >>> colour = Extractor("mean-colour", 3, {"version": "1"}, lambda x: x.mean(axis=(1, 2), dtype="float32"))
    >>> with tempfile.TemporaryDirectory() as cache:
    ...     features = extract_features(mine, colour, cache_dir=cache)
    >>> features.name, features.images.shape
    ('mine-mean-colour', (4, 3))
    """
    total = len(dataset.images) + len(dataset.test_images)
    report = progress if progress is not None else _terminal(f"{dataset.name}: {extractor_name(extractor)}")
    n_test = len(dataset.test_images)
    # The test part first: it is needed whole, while of the training part the first tasks may be all that is used.
    test = features_of(
        dataset.test_images, extractor, cache_dir=cache_dir, batch=batch, progress=lambda done, _: report(done, total)
    )
    train = features_of(
        dataset.images,
        extractor,
        cache_dir=cache_dir,
        batch=batch,
        progress=lambda done, _: report(n_test + done, total),
    )
    return Dataset(
        name=name if name is not None else f"{dataset.name}-{extractor.name}",
        images=train,
        labels=dataset.labels,
        test_images=test,
        test_labels=dataset.test_labels,
        n_classes=dataset.n_classes,
        origin=f"{dataset.origin}; {extractor.n_features} features of {extractor.name} ({extractor.key})",
    )


def features_of(
    images: Array,
    extractor: Extractor,
    *,
    cache_dir: str | os.PathLike[str],
    batch: int = 500,
    progress: Progress | None = None,
) -> NDArray[np.float32]:
    """Features float32 ``[n, d]`` of a stack of images, in the same parts as :func:`extract_features`.

    Parameters and errors are those of :func:`extract_features`; without ``progress`` nothing is shown.
    """
    extractor_name(extractor)
    check_count("batch", batch)
    folder = Path(os.path.expanduser(cache_dir)) / extractor.key
    features = np.empty((len(images), extractor.n_features), np.float32)
    for start in range(0, len(images), batch):
        rows = images[start : start + batch]
        path = folder / f"{content_hash(rows)}.npy"
        part = _read_part(path, (len(rows), extractor.n_features))
        if part is None:
            part = extractor(rows)
            _write_part(path, part)
        features[start : start + len(rows)] = part
        if progress is not None:
            progress(start + len(rows), len(images))
    return features


def content_hash(images: Array) -> str:
    """32 hexadecimal digits that stand for dtype, shape and every value of a stack of images."""
    digest = hashlib.sha256(f"{images.dtype.str} {images.shape}".encode())
    digest.update(np.ascontiguousarray(images).data)
    return digest.hexdigest()[:32]


def extractor_name(extractor: Extractor) -> str:
    """Name of the extractor, after refusing a plain function.

    Raises
    ------
    SettingsError
        If it is not an :class:`~neurosleep.data.Extractor`.
    """
    if not isinstance(extractor, Extractor):
        raise SettingsError(
            "The features of a plain function cannot be cached: nothing tells one version of it from the next.",
            found=repr(extractor),
            expected="an Extractor",
            hint="Extractor(name, n_features, {'weights': 'a checksum or version of it'}, function)",
        )
    return extractor.name


def _read_part(path: Path, shape: tuple[int, int]) -> Array | None:
    """The part in the cache, or None if it is not there or not whole."""
    try:
        check_regular(path, DataError)
        part: Array | None = read_npy(path)
    # Which exception is raised depends on which byte is damaged.
    except Exception:
        if not os.path.exists(path):
            return None
        part = None
    if part is not None and part.shape == shape and part.dtype == np.float32 and np.isfinite(part).all():
        return part
    # Ours are written whole, so someone or something else damaged it; the images are at hand to mend it.
    warnings.warn(f"The cached features {path.parent.name}/{path.name} are damaged; computing them anew.", stacklevel=2)
    return None


def _write_part(path: Path, part: Array) -> None:
    write_whole(
        path,
        lambda temporary: save_npy(temporary, part),
        what=f"The cache folder of features {str(path.parent.parent)!r}",
        error=DataError,
        expected="a folder that can be written, with room for 4 bytes per feature and image",
        hint="name another cache folder (cache=, or the environment variable XDG_CACHE_HOME)",
    )


def _terminal(title: str) -> Progress:
    """A line on stderr that is written over and over, on a terminal only."""
    started = time.monotonic()

    def show(done: int, total: int) -> None:
        if sys.stderr is not None and sys.stderr.isatty():
            left = (time.monotonic() - started) * (total - done) / max(done, 1)
            end = "\n" if done == total else ""
            sys.stderr.write(f"\r{title}: {done} of {total} images, about {left:.0f} s left   {end}")
            sys.stderr.flush()

    return show
