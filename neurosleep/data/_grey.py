"""The grey data sets (MNIST and its kin): where each may lie, and in which order the places are tried."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from neurosleep.data import _download
from neurosleep.data._embedded import NAME as EMBEDDED
from neurosleep.data._files import N_CLASSES, ForeignFileError, pair, read_member, read_single_npz
from neurosleep.data._published import MEMBERS, SOURCES, Member, Source
from neurosleep.data._shelves import ENVIRONMENT, Shelf, mended, one_line
from neurosleep.data.dataset import Array, Dataset, describe
from neurosleep.errors import DataError

__all__ = ["GREY", "RESPLIT", "folder_of", "load_grey", "places"]

RESPLIT = "kmnist-resplit"
GREY = (*SOURCES, RESPLIT)
# Images of each class in the two parts of kmnist-resplit, out of 1000 in the official test part.
RESPLIT_TRAIN, RESPLIT_TEST = 800, 200

_Parts = dict[Member, Array]


def load_grey(name: str, given: Shelf | None, cache: Path, *, download: bool) -> Dataset:
    """A data set of ``GREY``: from the given folder, else from the cache, else by download into the cache.

    Parameters
    ----------
    name:
        One of ``GREY``.
    given:
        The user's folder, if there is one.
    cache:
        Folder for downloads.
    download:
        Whether torchvision may download the set.

    Warns
    -----
    UserWarning
        If a file reads well but is not the published one.

    Raises
    ------
    DataError
        If a file is broken or belongs to another set, or the set is nowhere to be had.
    """
    source_name = "kmnist" if name == RESPLIT else name
    members = tuple(m for m in MEMBERS if name != RESPLIT or m.part == "test")
    notes: list[str] = []
    cached = Shelf("CACHE", cache, f"delete the file to have it downloaded anew; CACHE is {cache}")
    shelves = [cached] if given is None else [given, cached]

    for shelf in shelves:
        dataset = _read_from(shelf, source_name, members, notes)
        if dataset is not None:
            return _assemble(name, source_name, *dataset)
    if not download:
        notes.append("downloading is switched off (download=False)")
    else:
        try:
            _download.download(SOURCES[source_name].torchvision, cache)
        # No network, a full disk, a missing torchvision: the user is told all the same, and has the other way.
        except Exception as error:
            notes.append(f"the download failed ({type(error).__name__}: {one_line(str(error))})")
        else:
            dataset = _read_from(cached, source_name, members, notes)
            if dataset is not None:
                return _assemble(name, source_name, *dataset)
            notes.append("the download brought none of the files")
    raise _not_found(name, source_name, members, shelves, notes)


def places(source: Source) -> Iterator[tuple[str, bool]]:
    """Folders to search, relative to a shelf, and whether the folder's own name says which set it holds."""
    for folder in source.folders:
        yield f"{folder}/raw", True
        yield folder, True
    yield "raw", False
    yield ".", False


def _read_from(
    shelf: Shelf, source_name: str, members: tuple[Member, ...], notes: list[str]
) -> tuple[_Parts, str] | None:
    """The members read from the first place of the shelf that holds them all, and that place; None if there is none.

    What was seen on the way and is of use to the user is added to ``notes``.
    """
    source = SOURCES[source_name]
    for relative, named in places(source):
        place = shelf.folder / relative
        if not os.path.isdir(place):
            continue
        if not named and _named_after_another(place, source_name):
            continue
        try:
            dataset = _read_place(shelf, place, source_name, members, notes)
        except ForeignFileError as error:
            # idx files have the same names in all sets: in a folder that is not named after this one they are
            # simply those of another set, but in its own folder something is wrong.
            if named:
                raise mended(error, shelf) from error
            notes.append(f"{error.message.split(' is not what')[0]} is {error.found}")
            continue
        except DataError as error:
            raise mended(error, shelf) from error
        if dataset is not None:
            return dataset
    return None


def _read_place(
    shelf: Shelf, place: Path, source_name: str, members: tuple[Member, ...], notes: list[str]
) -> tuple[_Parts, str] | None:
    source = SOURCES[source_name]
    for file_name in source.single_npz:
        path = place / file_name
        if os.path.isfile(path):
            label = shelf.name_of(path)
            arrays = dict(zip(members, read_single_npz(source_name, members, path, label), strict=True))
            _check_parts(source_name, arrays, {m: f"{label}: {m.npz_array}" for m in members})
            return arrays, label
    paths: dict[Member, Path] = {}
    for member in members:
        for file_name in source.file_names(member):
            if os.path.isfile(place / file_name):
                paths[member] = place / file_name
                break
    if len(paths) < len(members):
        if paths:
            notes.append(_incomplete(shelf.name_of(place), source, members, paths))
        return None
    labels = {member: shelf.name_of(path) for member, path in paths.items()}
    arrays = {member: read_member(source_name, member, path, labels[member]) for member, path in paths.items()}
    _check_parts(source_name, arrays, labels)
    return arrays, shelf.name_of(place)


def _named_after_another(place: Path, source_name: str) -> bool:
    """Whether the given folder itself bears the name of another set, as in ``root="data/FashionMNIST"``."""
    own = folder_of(place)
    return any(own in source.folders for name, source in SOURCES.items() if name != source_name)


def folder_of(place: Path) -> str:
    """The name of the folder that says which set a place holds."""
    resolved = place.resolve()
    return resolved.parent.name if resolved.name == "raw" else resolved.name


def _incomplete(place: str, source: Source, members: tuple[Member, ...], paths: dict[Member, Path]) -> str:
    names = ", ".join(path.name for path in paths.values())
    for part, word in (("test", "test"), ("train", "training")):
        if set(paths) == {m for m in members if m.part == part}:
            return f"{place} holds only the {word} part ({names})"
    lacking = ", ".join(source.file_names(m)[0] for m in members if m not in paths)
    return f"{place} holds {names} but lacks {lacking}"


def _check_parts(source_name: str, arrays: _Parts, labels: dict[Member, str]) -> None:
    """Refuse members that do not fit together, naming the files."""
    images_of: list[Member] = []
    for member in arrays:
        if member.kind == "images":
            partner = Member(member.part, "labels")
            pair(source_name, member.part, arrays[member], arrays[partner], labels[member], labels[partner])
            images_of.append(member)
    for other in images_of[1:]:
        first = images_of[0]
        if arrays[first].shape[1:] != arrays[other].shape[1:]:
            raise DataError(
                f"{labels[first]} and {labels[other]} do not belong together.",
                found=f"images of {describe(arrays[first])} and of {describe(arrays[other])}",
                expected="the same image shape in both parts",
            )


def _assemble(name: str, source_name: str, arrays: _Parts, origin: str) -> Dataset:
    images, labels = arrays[Member("test", "images")], arrays[Member("test", "labels")]
    if name != RESPLIT:
        train_images, train_labels = arrays[Member("train", "images")], arrays[Member("train", "labels")]
        return Dataset(name, train_images, train_labels, images, labels, N_CLASSES, origin)
    train = np.zeros(len(labels), dtype=bool)
    test = np.zeros(len(labels), dtype=bool)
    for c in range(N_CLASSES):
        rows = np.flatnonzero(labels == c)
        if len(rows) < RESPLIT_TRAIN + RESPLIT_TEST:
            raise DataError(
                f"The test part in {origin} is too small for {RESPLIT!r}.",
                found=f"{len(rows)} images of class {c}",
                expected=f"at least {RESPLIT_TRAIN + RESPLIT_TEST} of each class, as in the published test part",
            )
        train[rows[:RESPLIT_TRAIN]] = True
        test[rows[-RESPLIT_TEST:]] = True
    return Dataset(
        name,
        images[train],
        labels[train],
        images[test],
        labels[test],
        N_CLASSES,
        f"{origin}; official test part of {SOURCES[source_name].title} only, first {RESPLIT_TRAIN} of each class for "
        f"training, last {RESPLIT_TEST} for testing",
    )


def _not_found(
    name: str, source_name: str, members: tuple[Member, ...], shelves: list[Shelf], notes: list[str]
) -> DataError:
    source = SOURCES[source_name]
    files = ", ".join(source.file_names(m)[0] + "[.gz]" for m in members)
    if source.npz_stem is not None:
        files += f", the same as {source.npz_stem}-*.npz"
    tried = ", ".join(relative for relative, _ in places(source))
    looked = " and ".join(f"{shelf.label} = {shelf.folder}" for shelf in shelves)
    hint = (
        f"give the folder that holds it (root=, --data DIR or the environment variable {ENVIRONMENT}), or let "
        "torchvision download it (download=True, with a network connection)"
    )
    if name == "kmnist" and any("only the test part" in note for note in notes):
        hint = f"{RESPLIT!r} is made of the official test part alone; for the whole set, {hint}"
    elif name == "mnist":
        hint += f"; {EMBEDDED!r} is a part of it that needs neither"
    train, test = source.counts
    counts = f"{test} test images" if name == RESPLIT else f"{train} training and {test} test images"
    return DataError(
        f"The data set {name!r} ({source.title}, {counts}) is not at hand.",
        found="; ".join(notes),
        expected=f"{files}, or {source.single_npz[0]}, in one of the folders {tried} of {looked}",
        hint=hint,
    )
