"""Features of one's own: ``.npz`` and ``.mat`` files, the published ones among them."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neurosleep._guards.files import check_regular
from neurosleep.data._files import open_npz
from neurosleep.data._matlab import read_mat
from neurosleep.data._shelves import expand, given_shelf
from neurosleep.data.dataset import Array, Dataset
from neurosleep.errors import DataError

__all__ = ["PREFIX", "load_feature_file"]

PREFIX = "features:"
# Names of the four arrays of a file that holds both parts, in lower case.
_WHOLE = (("train_x", "train_y", "test_x", "test_y"), ("x_train", "y_train", "x_test", "y_test"))
_HALF = ("x", "y")
_Variables = tuple[dict[str, Array], dict[str, tuple[int, ...]]]
_EXPECTED = "train_x, train_y, test_x and test_y (or x_train, ...), or X and y in a file of each part"


def load_feature_file(path: str | os.PathLike[str], root: str | os.PathLike[str] | None = None) -> Dataset:
    """A data set of features from a file, or from one file for each part.

    Which files (``.npz``, or ``.mat`` of any version; the latter need the extra ``features``):

    - one that holds ``train_x, train_y, test_x, test_y``, as the published ``cifar_data_1000_256_tinyimagenet.mat`` of
      Sleep Replay Consolidation, or ``x_train, y_train, x_test, y_test``;
    - one with ``train`` in its name that holds ``X, y``, beside one with ``test`` in that place, as the published
      ``cub200_resnet50_train.mat`` and ``cub200_resnet50_test.mat``; ``cub200_resnet50_*.mat`` means both, too.

    Upper and lower case count alike. Features are ``[n, d]``, numbers of any kind, kept unscaled as float32.
    Labels are class numbers ``[n]`` (also ``[1, n]`` or ``[n, 1]``, also stored as floating point), or one-hot rows
    ``[n, classes]``. Class numbers start at 0; those of a ``.mat`` file may start at 1, as is usual there, and are then
    lowered by 1.

    Parameters
    ----------
    path:
        The file; where it does not exist, it is looked for below the data folder.
    root:
        The data folder. Left out: the environment variable ``NEUROSLEEP_DATA``, if it is set.

    Returns
    -------
    A :class:`~neurosleep.data.Dataset` with float32 features ``[n, d]``, named ``features:FILE``.

    Raises
    ------
    DataError
        If a file is missing or broken, lacks a variable (the message lists what is there), rows and labels do not go
        together, a class has no row to train on, or a value is NaN or infinite.
    MissingExtraError
        If the reader of a ``.mat`` file is not installed.

    See Also
    --------
    extract_features : computes features
    scale_by_maximum : brings them to 0..1

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from neurosleep.data import load_feature_file
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "mine.npz")
    ...     x, y = np.random.default_rng(0).random((6, 5)), [0, 1, 2, 0, 1, 2]
    ...     np.savez(path, train_x=x, train_y=y, test_x=x, test_y=y)
    ...     features = load_feature_file(path)
    >>> features.name, features.images.shape, features.n_classes
    ('features:mine.npz', (6, 5), 3)
    """
    files = _find(str(path), root)
    if len(files) == 1:
        arrays, labels_from = _whole(*_read(files[0], _WHOLE), files[0]), (files[0].name, files[0].name)
    else:
        halves = [_half(*_read(file, (_HALF,)), file) for file in files]
        arrays, labels_from = (*halves[0], *halves[1]), (files[0].name, files[1].name)
    train_x, train_y, test_x, test_y = arrays
    x = _features(train_x, f"the training features of {labels_from[0]}")
    test = _features(test_x, f"the test features of {labels_from[1]}")
    y = _labels(train_y, len(x), f"the training part of {labels_from[0]}")
    test_labels = _labels(test_y, len(test), f"the test part of {labels_from[1]}")
    matlab = files[0].suffix == ".mat"
    one_hot = _is_one_hot(train_y)
    if matlab and not one_hot and min(y.min(), test_labels.min()) == 1:
        y, test_labels = y - 1, test_labels - 1
    n_classes = int(max(y.max(), test_labels.max())) + 1
    if one_hot:
        n_classes = max(n_classes, train_y.shape[-1])
    _check_classes(y, n_classes, labels_from[0])
    shown = files[0].name if len(files) == 1 else f"{files[0].name} and {files[1].name}"
    return Dataset(PREFIX + files[0].name, x, y, test, test_labels, n_classes, f"the user's own features, {shown}")


def _find(given: str, root: str | os.PathLike[str] | None) -> list[Path]:
    """The file, or the files of the training and of the test part."""
    shelf = given_shelf(root)
    tried = [expand(given)] if given else []
    if given and shelf is not None and not tried[0].is_absolute():
        tried.append(shelf.folder / given)
    seen: list[str] = []
    for path in tried:
        if os.path.exists(path) and not os.path.isdir(path):
            check_regular(path, DataError, name=path.name, expected="a .npz or .mat file")
            other = _other_part(path)
            return [path] if other is None else [path, other]
        if "*" in path.name:
            matching = [Path(name) for name in sorted(glob.glob(str(path)))]
            train = [p for p in matching if "train" in p.stem.lower()]
            test = [p for p in matching if "test" in p.stem.lower()]
            if len(train) == len(test) == 1 and train != test:
                return [train[0], test[0]]
            seen += [p.name for p in matching]
    if "*" in given:
        raise DataError(
            f"The pattern {given!r} does not stand for one training and one test file.",
            found=", ".join(seen) or "no file",
            expected="one file with 'train' in its name and one with 'test'",
        )
    raise DataError(
        f"There is no feature file {given!r}.",
        found="; ".join(f"{str(path)!r} is no file" for path in tried) or "no path",
        expected="features:PATH with the path of a .npz or .mat file",
        hint="a relative path starts at the working folder or at the data folder (--data DIR)",
    )


def _other_part(path: Path) -> Path | None:
    """The file beside ``..._train.mat`` that has ``test`` in that place, if there is one."""
    name = re.sub("train(?!.*train)", "test", path.name)
    other = path.with_name(name)
    return other if name != path.name and os.path.isfile(other) else None


def _read(path: Path, names: tuple[tuple[str, ...], ...]) -> _Variables:
    """The arrays that bear one of these names, and the shapes of all arrays of the file."""
    readers: dict[str, Callable[[Path, Callable[[str], bool]], _Variables]] = {".mat": read_mat, ".npz": _read_npz}
    if path.suffix not in readers:
        raise DataError(
            f"{path.name} has an ending that says another format.", found=path.suffix or "none", expected=".npz or .mat"
        )
    wanted = {name for group in names for name in group}
    return readers[path.suffix](path, lambda name: name.lower() in wanted)


def _read_npz(path: Path, wanted: Callable[[str], bool]) -> _Variables:
    check_regular(path, DataError, name=path.name, expected="a .npz file")
    return open_npz(path, path.name, wanted)


def _whole(
    variables: Mapping[str, Array], shapes: Mapping[str, tuple[int, ...]], path: Path
) -> tuple[Array, Array, Array, Array]:
    by_name = {name.lower(): array for name, array in variables.items()}
    for names in _WHOLE:
        if all(name in by_name for name in names):
            a, b, c, d = (by_name[name] for name in names)
            return a, b, c, d
    hint = None
    if {*_HALF} <= {name.lower() for name in shapes}:
        hint = "it holds one part (X, y): name it ..._train and put the other part beside it as ..._test"
    raise _unknown_variables(shapes, path, hint)


def _half(variables: Mapping[str, Array], shapes: Mapping[str, tuple[int, ...]], path: Path) -> tuple[Array, Array]:
    by_name = {name.lower(): array for name, array in variables.items()}
    if not all(name in by_name for name in _HALF):
        raise _unknown_variables(shapes, path, None)
    return by_name["x"], by_name["y"]


def _unknown_variables(shapes: Mapping[str, tuple[int, ...]], path: Path, hint: str | None) -> DataError:
    listing = ", ".join(f"{name} {list(shape)}" for name, shape in sorted(shapes.items())[:20])
    return DataError(
        f"{path.name} does not hold the variables of features and labels.",
        found=listing or "no array of numbers",
        expected=_EXPECTED,
        hint=hint,
    )


def _features(array: Array, what: str) -> NDArray[np.float32]:
    if array.ndim < 2 or array.size == 0 or array.dtype.kind not in "fiu":
        raise DataError(
            f"Cannot read {what}.",
            found=f"{array.dtype} of shape {list(array.shape)}",
            expected="numbers [n, d]: a row for each image",
        )
    with np.errstate(over="ignore"):  # a value too large for float32 becomes infinite, which the data set refuses
        return np.ascontiguousarray(array.reshape(len(array), -1), dtype=np.float32)


def _is_one_hot(labels: Array) -> bool:
    return labels.ndim == 2 and min(labels.shape) > 1


def _labels(array: Array, rows: int, what: str) -> NDArray[np.int64]:
    """Class numbers ``[n]`` as stored, one-hot rows turned into them."""
    one_hot = _is_one_hot(array)
    flat = array if one_hot else array.reshape(-1)
    if flat.size == 0 or array.dtype.kind not in "fiub":
        raise DataError(
            f"Cannot read the labels of {what}.",
            found=f"{array.dtype} of shape {list(array.shape)}",
            expected="class numbers [n], or one-hot rows [n, classes]",
        )
    if len(flat) != rows:
        turned = one_hot and flat.shape[1] == rows
        raise DataError(
            f"There are not as many labels as rows in {what}.",
            found=f"{rows} rows and {len(flat)} labels",
            expected="one label for each row",
            hint="the labels lie the other way round: transpose them" if turned else "a row is an image",
        )
    values = np.asarray(flat, np.float64)
    if one_hot:
        if not (np.isin(values, (0.0, 1.0)).all() and (values.sum(axis=1) == 1).all()):
            raise DataError(
                f"The labels of {what} are neither class numbers nor one-hot.",
                found=f"shape {list(flat.shape)}, values from {values.min():g} to {values.max():g}",
                expected="a single 1 in each row and 0 elsewhere, or one class number for each row",
            )
        return np.asarray(values.argmax(axis=1), np.int64)
    bad = np.flatnonzero(~np.isfinite(values) | (values != np.floor(values)) | (values < 0) | (values > 1e6))
    if len(bad):
        raise DataError(
            f"The labels of {what} are not class numbers.",
            found=f"{values[bad[0]]:g} at row {bad[0]}",
            expected="integers from 0 (in a .mat file also from 1)",
        )
    return values.astype(np.int64)


def _check_classes(labels: NDArray[np.int64], n_classes: int, name: str) -> None:
    present = set(np.unique(labels).tolist())
    if len(present) < n_classes:
        absent = next(c for c in range(n_classes) if c not in present)
        raise DataError(
            f"{name} has a class without a row to train on.",
            found=f"no row of class {absent}, though labels reach {n_classes - 1}",
            expected=f"every class from 0 to {n_classes - 1}",
            hint="number the classes from 0 without gaps",
        )
