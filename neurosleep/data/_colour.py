"""The colour data sets: where each may lie, and in which order the places are tried."""

from __future__ import annotations

import importlib
import os
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neurosleep.data import _download
from neurosleep.data._packed import read_packed
from neurosleep.data._shelves import ENVIRONMENT, Shelf, mended, one_line
from neurosleep.data.dataset import Dataset
from neurosleep.errors import DataError

__all__ = ["BATCHES", "COLOUR", "load_colour"]

BATCHES = "cifar-10-batches-py"  # torchvision's folder of the original pixels


@dataclass(frozen=True)
class Colour:
    """One colour data set; ``batches`` says whether torchvision knows (and downloads) the original."""

    title: str
    folders: tuple[str, ...]
    files: tuple[str, str]
    side: int
    classes: tuple[str, ...] | int
    counts: tuple[int, int]
    remark: str
    batches: bool = False

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return self.classes if isinstance(self.classes, int) else len(self.classes)


COLOUR: dict[str, Colour] = {
    "cifar10": Colour(
        title="CIFAR-10",
        folders=("cifar10", "CIFAR10", "cifar-10", "CIFAR-10"),
        files=("cifar10-train-jpeg.npz", "cifar10-test-jpeg.npz"),
        side=32,
        classes=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
        counts=(50_000, 10_000),
        remark="lossy JPEG copy",
        batches=True,
    ),
    "tiny-imagenet-100": Colour(
        title="Tiny ImageNet, 100 of its classes with 100 training images each",
        folders=("tiny-imagenet-100",),
        files=("tiny-imagenet-100-train-jpeg.npz", "tiny-imagenet-100-val-jpeg.npz"),
        side=64,
        classes=100,
        counts=(10_000, 5_000),
        remark="subset of Tiny ImageNet, its validation images as the test part",
    ),
}

_Part = tuple[NDArray[np.uint8], NDArray[np.int64]]


def load_colour(name: str, given: Shelf | None, cache: Path, *, download: bool) -> Dataset:
    """A data set of ``COLOUR``: from the given folder, else from the cache, else by download where that is possible.

    Images are uint8 ``[n, side, side, 3]``. Of CIFAR-10 the original pixels are preferred to the JPEG copy, and the
    origin of the data set says which it was.

    Warns
    -----
    UserWarning
        If there are other numbers of images than the set is known to have.

    Raises
    ------
    DataError
        If a file is broken, or the set is nowhere to be had.
    """
    source = COLOUR[name]
    notes: list[str] = []
    cached = Shelf("CACHE", cache, f"delete it to have it downloaded anew; CACHE is {cache}")
    shelves = [*([given] if given is not None else []), cached]
    for shelf in shelves:
        dataset = _read_from(shelf, source, cache / "decoded", notes)
        if dataset is not None:
            return _assemble(name, source, *dataset)
    if source.batches and download:
        try:
            _download.download_cifar10(cache)
        # No network, a full disk, a changed file: the user is told all the same, and has the other way.
        except Exception as error:
            notes.append(f"the download failed ({type(error).__name__}: {one_line(str(error))})")
        else:
            dataset = _read_from(cached, source, cache / "decoded", notes)
            if dataset is not None:
                return _assemble(name, source, *dataset)
            notes.append("the download brought none of the files")
    elif source.batches:
        notes.append("downloading is switched off (download=False)")
    raise _not_found(name, source, shelves, notes)


def _read_from(shelf: Shelf, source: Colour, decoded: Path, notes: list[str]) -> tuple[_Part, _Part, str] | None:
    for relative in (*source.folders, "."):
        place = shelf.folder / relative
        if source.batches and os.path.isdir(place / BATCHES):
            label = shelf.name_of(place / BATCHES)
            try:
                return (*_read_batches(place, label), f"{label} (original pixels)")
            except DataError as error:
                raise mended(error, shelf) from error
        paths = [place / file for file in source.files]
        present = [path for path in paths if os.path.isfile(path)]
        if len(present) == 1:
            lacking = next(path.name for path in paths if path not in present)
            notes.append(f"{shelf.name_of(place)} holds {present[0].name} but lacks {lacking}")
        if len(present) < 2:
            continue
        try:
            train, test = (
                read_packed(path, shelf.name_of(path), side=source.side, classes=source.classes, decoded=decoded)
                for path in paths
            )
        except DataError as error:
            raise mended(error, shelf) from error
        return train, test, f"{shelf.name_of(place)} ({source.remark})"
    return None


def _read_batches(place: Path, label: str) -> tuple[_Part, _Part]:
    # The batches are pickles, which run code when they are read. torchvision compares their MD5 sums with the published
    # ones before it opens any, so only the published files are ever unpickled.
    kind = importlib.import_module("torchvision.datasets").CIFAR10
    try:
        parts = [kind(str(place), train=train, download=False) for train in (True, False)]
    except Exception as error:
        raise DataError(
            f"{label} is not the published CIFAR-10.",
            found=one_line(str(error)),
            expected="the files of cifar-10-python.tar.gz, unchanged",
        ) from error
    train, test = ((np.asarray(part.data, np.uint8), np.asarray(part.targets, np.int64)) for part in parts)
    return train, test


def _assemble(name: str, source: Colour, train: _Part, test: _Part, origin: str) -> Dataset:
    for (images, _), count, word in ((train, source.counts[0], "training"), (test, source.counts[1], "test")):
        if len(images) != count:
            warnings.warn(
                f"{origin}: {len(images)} {word} images, where {source.title} has {count}; results are not comparable "
                "with published ones.",
                stacklevel=4,
            )
    return Dataset(name, *train, *test, source.n_classes, origin)


def _not_found(name: str, source: Colour, shelves: list[Shelf], notes: list[str]) -> DataError:
    files = f"{source.files[0]} and {source.files[1]}" + (f", or the folder {BATCHES}" if source.batches else "")
    looked = " and ".join(f"{shelf.label} = {shelf.folder}" for shelf in shelves)
    hint = f"give the folder that holds it (root=, --data DIR or the environment variable {ENVIRONMENT})"
    if source.batches:
        hint += ", or let torchvision download it (download=True, with a network connection)"
    return DataError(
        f"The data set {name!r} ({source.title}, {source.counts[0]} training and {source.counts[1]} test images) "
        "is not at hand.",
        found="; ".join(notes) or "no such files",
        expected=f"{files}, in one of the folders {', '.join((*source.folders, '.'))} of {looked}",
        hint=hint,
    )
