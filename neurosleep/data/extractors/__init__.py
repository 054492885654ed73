"""Frozen networks that turn images into features.

They live in this room, not in ``networks``: an extractor is a fixed step of preparing data that never learns here, and
a data set such as ``cifar10-efficientnet`` must be able to make its features, while ``networks`` comes after ``data``
in the import layering. torch is imported only when one of them is made.
"""

from __future__ import annotations

from neurosleep.data.extractors.base import Extractor
from neurosleep.data.extractors.efficientnet_lite import efficientnet_lite0
from neurosleep.data.extractors.registry import FEATURE_SETS, extractor_names, make_extractor
from neurosleep.data.extractors.resnet import resnet50
from neurosleep.data.extractors.vgg import vgg_tiny_imagenet

__all__ = [
    "FEATURE_SETS",
    "Extractor",
    "efficientnet_lite0",
    "extractor_names",
    "make_extractor",
    "resnet50",
    "vgg_tiny_imagenet",
]
