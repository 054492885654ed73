"""The extractors by name, and the data sets of features that have a name of their own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from neurosleep.data.extractors.base import Extractor
from neurosleep.data.extractors.efficientnet_lite import efficientnet_lite0
from neurosleep.data.extractors.resnet import resnet50
from neurosleep.data.extractors.vgg import vgg_tiny_imagenet
from neurosleep.errors import unknown_name

__all__ = ["FEATURE_SETS", "extractor_names", "make_extractor"]

_EXTRACTORS: dict[str, Callable[[Path | None], Extractor]] = {
    "efficientnet-lite0": lambda folder: efficientnet_lite0(),
    # A third of the work; images of 32 or 64 pixels hold no more anyway.
    "efficientnet-lite0-128": lambda folder: efficientnet_lite0(128),
    "resnet50": resnet50,
    "vgg-tiny-imagenet": vgg_tiny_imagenet,
}

# Name of the features: the images, and the extractor.
FEATURE_SETS: dict[str, tuple[str, str]] = {
    "cifar10-efficientnet": ("cifar10", "efficientnet-lite0"),
    "cifar10-efficientnet-128": ("cifar10", "efficientnet-lite0-128"),
    "cifar10-resnet50": ("cifar10", "resnet50"),
    "cifar10-vgg": ("cifar10", "vgg-tiny-imagenet"),
    # The networks pretrained on ImageNet have seen the classes of Tiny ImageNet, many of its images too.
    "tiny-imagenet-100-efficientnet": ("tiny-imagenet-100", "efficientnet-lite0"),
    "tiny-imagenet-100-efficientnet-128": ("tiny-imagenet-100", "efficientnet-lite0-128"),
    "tiny-imagenet-100-resnet50": ("tiny-imagenet-100", "resnet50"),
}


def extractor_names() -> tuple[str, ...]:
    """Names that :func:`make_extractor` knows, in alphabetical order.

    See Also
    --------
    make_extractor : makes one

    Examples
    --------
    >>> from neurosleep.data import extractor_names
    >>> extractor_names()
    ('efficientnet-lite0', 'efficientnet-lite0-128', 'resnet50', 'vgg-tiny-imagenet')
    """
    return tuple(sorted(_EXTRACTORS))


def make_extractor(name: str, folder: Path | None = None) -> Extractor:
    """The extractor of that name, with its usual settings.

    Parameters
    ----------
    name:
        One of :func:`extractor_names`.
    folder:
        The user's data folder, which may hold weights.

    Raises
    ------
    UnknownNameError
        If there is no such name.
    MissingExtraError, DataError
        If its weights are not at hand; the message says how to get them.

    See Also
    --------
    extractor_names : the names
    extract_features : runs it over a data set

    Examples
    --------
    >>> from neurosleep.data import extract_features, load_dataset, make_extractor
    >>> resnet = make_extractor("resnet50")  # doctest: +SKIP
    >>> extract_features(load_dataset("cifar10"), resnet, cache_dir="cache")  # doctest: +SKIP
    """
    if name not in _EXTRACTORS:
        raise unknown_name("extractor", name, _EXTRACTORS)
    return _EXTRACTORS[name](folder)
