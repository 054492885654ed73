"""Whether a data set is at hand, by the names of its files alone: nothing is read, nothing downloaded."""

from __future__ import annotations

import glob
import importlib.util
import os
from pathlib import Path

from neurosleep.data._colour import BATCHES, COLOUR
from neurosleep.data._grey import GREY, RESPLIT, folder_of, places
from neurosleep.data._published import MEMBERS, SOURCES
from neurosleep.data._shelves import cache_folder, expand, given_shelf
from neurosleep.data._sklearn import SKLEARN
from neurosleep.data.extractors import FEATURE_SETS
from neurosleep.data.feature_files import PREFIX

__all__ = ["at_hand"]


def at_hand(name: str, root: str | os.PathLike[str] | None = None) -> bool:
    """Whether :func:`~neurosleep.data.load_dataset` would find the files of a data set, or makes it up.

    Of features it says whether their images are there: the first use computes what is not in the cache.

    Raises
    ------
    DataError
        If the folder does not exist.

    See Also
    --------
    load_dataset : reads one

    Examples
    --------
    >>> from neurosleep.data import at_hand
    >>> at_hand("mnist-mini"), at_hand("features:nowhere.npz")
    (True, False)
    """
    given = given_shelf(root)
    folders = [*([] if given is None else [given.folder]), cache_folder(None)]
    if name.startswith(PREFIX):
        file = expand(name.removeprefix(PREFIX))
        return any(glob.glob(str(folder / file)) for folder in (Path(), *folders))
    images = FEATURE_SETS[name][0] if name in FEATURE_SETS else name
    if images in GREY:
        return any(_grey_in(folder, images) for folder in folders)
    if images in COLOUR:
        return any(_colour_in(folder, images) for folder in folders)
    # What is left comes with the package, or is made up.
    return name not in SKLEARN or importlib.util.find_spec("sklearn") is not None


def _grey_in(folder: Path, name: str) -> bool:
    source = SOURCES["kmnist" if name == RESPLIT else name]
    members = [member for member in MEMBERS if name != RESPLIT or member.part == "test"]
    for relative, named in places(source):
        place = folder / relative
        whole = any(os.path.isfile(place / file) for file in source.single_npz)
        parts = all(any(os.path.isfile(place / file) for file in source.file_names(member)) for member in members)
        # Files of all these sets have the same names; a folder that bears the name of no set may hold any of them.
        if whole or (parts and (named or folder_of(place) in source.folders)):
            return True
    return False


def _colour_in(folder: Path, name: str) -> bool:
    source = COLOUR[name]
    places_of = [folder / relative for relative in (*source.folders, ".")]
    return any(
        (source.batches and os.path.isdir(place / BATCHES))
        or all(os.path.isfile(place / file) for file in source.files)
        for place in places_of
    )
