"""The registry of data sets: every name that ``load_dataset`` knows, and who reads it."""

from __future__ import annotations

import os

from neurosleep.data import _embedded
from neurosleep.data._colour import COLOUR, load_colour
from neurosleep.data._covertype_like import covertype_like
from neurosleep.data._grey import GREY, load_grey
from neurosleep.data._shelves import cache_folder, given_shelf
from neurosleep.data._sklearn import SKLEARN, load_sklearn
from neurosleep.data.dataset import Dataset
from neurosleep.data.extractors import FEATURE_SETS, make_extractor
from neurosleep.data.feature_files import PREFIX, load_feature_file
from neurosleep.data.features import extract_features
from neurosleep.errors import unknown_name

__all__ = ["dataset_names", "load_dataset"]

_COVERTYPE_LIKE = "covertype-like"


def dataset_names() -> tuple[str, ...]:
    """Names that :func:`load_dataset` knows, in alphabetical order (beside ``features:PATH``, a file of one's own).

    See Also
    --------
    load_dataset : reads one

    Examples
    --------
    >>> from neurosleep.data import dataset_names
    >>> [name for name in dataset_names() if "mnist" in name]
    ['fashion-mnist', 'kmnist', 'kmnist-resplit', 'mnist', 'mnist-mini']
    """
    return tuple(sorted([*GREY, *COLOUR, *FEATURE_SETS, *SKLEARN, _COVERTYPE_LIKE, _embedded.NAME]))


def load_dataset(
    name: str,
    root: str | os.PathLike[str] | None = None,
    *,
    download: bool = True,
    cache: str | os.PathLike[str] | None = None,
) -> Dataset:
    """Read a data set: from the given folder, else from the cache, else by downloading it into the cache.

    ``mnist-mini`` (1000 training and 200 test images of each digit) ships with the package and needs none of these.
    ``kmnist-resplit`` is made of the official test part of Kuzushiji-MNIST alone: the first 800 images of each class
    for training, the last 200 for testing; numbers on it cannot be compared with published ones. No name ever stands
    for another set. Nothing is written into the given folder.

    ``cifar10`` and ``tiny-imagenet-100`` are colour images, uint8 ``[n, 32, 32, 3]`` and ``[n, 64, 64, 3]``. Names such
    as ``cifar10-efficientnet`` are float32 features ``[n, d]`` of their images by a frozen network, unscaled
    (:func:`~neurosleep.data.scale_by_maximum` scales them); the first use computes them, which takes many minutes and
    can be interrupted, and keeps them in the cache. ``digits``, ``wine`` and ``breast-cancer`` are those of
    scikit-learn (extra ``sklearn``), as it holds them, ``covertype-like`` is made up
    (:func:`~neurosleep.data.covertype_like`); all four to be scaled. ``features:PATH`` reads features of one's own from
    a ``.npz`` or ``.mat`` file (:func:`~neurosleep.data.load_feature_file` says which).

    Parameters
    ----------
    name:
        One of :func:`dataset_names`, or ``features:PATH``.
    root:
        Folder that may hold the set: idx files, plain or gzipped, or npz files, in the folder itself or in one named
        after the set (``MNIST/raw``, ``MNIST``, ``KMNIST``, ``cifar10``, ...). Left out: the environment variable
        ``NEUROSLEEP_DATA``, if it is set.
    download:
        Whether torchvision may download the set where neither folder nor cache has it.
    cache:
        Folder for downloads, decoded images and features. Left out: ``neurosleep/data`` in ``$XDG_CACHE_HOME`` or
        ``~/.cache``.

    Warns
    -----
    UserWarning
        If a file reads well but is not the published one, by its checksum or its number of images.

    Raises
    ------
    UnknownNameError
        If there is no such name.
    DataError
        If the folder does not exist, a file is broken or belongs to another set, or the set is nowhere to be had; the
        message says what was looked for and where.
    MissingExtraError
        If the network behind features, scikit-learn, or the reader of a ``.mat`` file, is not installed.

    See Also
    --------
    dataset_names : the names
    class_incremental, permuted : tasks from it
    Dataset : one of your own

    Examples
    --------
    >>> from neurosleep.data import load_dataset
    >>> mnist = load_dataset("mnist-mini")
    >>> mnist.images.shape, mnist.images.dtype
    ((10000, 28, 28), dtype('uint8'))
    """
    if isinstance(name, str) and name.startswith(PREFIX):
        return load_feature_file(name.removeprefix(PREFIX), root)
    if name not in dataset_names():
        raise unknown_name("data set", str(name), dataset_names())
    if name == _embedded.NAME:
        return _embedded.read_embedded()
    if name == _COVERTYPE_LIKE:
        return covertype_like()
    if name in SKLEARN:
        return load_sklearn(name)
    given, kept = given_shelf(root), cache_folder(cache)
    if name in GREY:
        return load_grey(name, given, kept, download=download)
    if name in COLOUR:
        return load_colour(name, given, kept, download=download)
    images, network = FEATURE_SETS[name]
    # The network first: a missing one is found at once, decoding the images takes a while.
    extractor = make_extractor(network, None if given is None else given.folder)
    source = load_colour(images, given, kept, download=download)
    return extract_features(source, extractor, cache_dir=kept / "features", name=name)
