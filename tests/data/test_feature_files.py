"""A user's own features: round trips through npz and both kinds of mat files, and everything that can be wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurosleep._guards import hdf5
from neurosleep.data import class_incremental, load_dataset, load_feature_file
from neurosleep.errors import DataError, MissingExtraError

Array = np.ndarray[Any, Any]
Variables = dict[str, Any]


def save_npz(path: Path, variables: Variables) -> None:
    np.savez(path, **variables)


def save_old(path: Path, variables: Variables) -> None:
    pytest.importorskip("scipy", reason="the extra 'features' is not installed").io.savemat(path, variables)


def save_new(path: Path, variables: Variables) -> None:
    """As MATLAB writes version 7.3: a header of 512 bytes, columns first, vectors as matrices."""
    h5py = pytest.importorskip("h5py", reason="the extra 'features' is not installed")
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, value in variables.items():
            array = np.atleast_2d(np.asarray(value))
            file.create_dataset(name, data=array.T).attrs["MATLAB_class"] = np.bytes_("double")
    with path.open("r+b") as raw:
        raw.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM")


SAVERS: dict[str, tuple[Callable[[Path, Variables], None], str]] = {
    "npz": (save_npz, ".npz"),
    "mat 5": (save_old, ".mat"),
    "mat 7.3": (save_new, ".mat"),
}
each_format = pytest.mark.parametrize("kind", SAVERS)


@pytest.fixture
def arrays() -> dict[str, Array]:
    rng = np.random.default_rng(0)
    return {
        "train_x": rng.random((30, 7), dtype=np.float32),
        "train_y": np.arange(30) % 10,
        "test_x": rng.random((20, 7), dtype=np.float32),
        "test_y": np.arange(20) % 10,
    }


def save(folder: Path, kind: str, variables: Variables, stem: str = "own") -> Path:
    saver, ending = SAVERS[kind]
    path = folder / (stem + ending)
    saver(path, variables)
    return path


@each_format
@pytest.mark.parametrize("form", ["as they are", "double", "one-hot", "one-hot bytes", "row", "column", "other names"])
def test_one_file_with_both_parts(tmp_path: Path, arrays: dict[str, Array], kind: str, form: str) -> None:
    given: Variables = dict(arrays)
    for key in ("train_y", "test_y"):
        y = arrays[key]
        given[key] = {
            "double": y.astype(np.float64),
            "one-hot": np.eye(10)[y],
            "one-hot bytes": np.eye(10, dtype=np.uint8)[y],
            "row": y[None],
            "column": y[:, None],
        }.get(form, y)
    if form == "other names":
        given = {"X_train": given["train_x"], "Y_train": given["train_y"], "X_test": given["test_x"]} | {
            "Y_test": given["test_y"]
        }
    path = save(tmp_path, kind, given)
    dataset = load_dataset(f"features:{path}")
    assert dataset.name == f"features:{path.name}" and str(tmp_path) not in dataset.origin
    assert np.array_equal(dataset.images, arrays["train_x"]) and dataset.images.dtype == np.float32
    assert np.array_equal(dataset.test_images, arrays["test_x"])
    assert np.array_equal(dataset.labels, arrays["train_y"]) and np.array_equal(dataset.test_labels, arrays["test_y"])
    assert dataset.n_classes == 10 and len(class_incremental(dataset)) == 5


@pytest.mark.parametrize("kind", ["mat 5", "mat 7.3"])
@pytest.mark.parametrize("y_shape", [(1, -1), (-1, 1)])
@pytest.mark.parametrize("given", ["cub200_resnet50_train.mat", "cub200_resnet50_*.mat"])
def test_the_published_pair_with_classes_from_one(
    tmp_path: Path, arrays: dict[str, Array], kind: str, y_shape: tuple[int, int], given: str
) -> None:
    for part in ("train", "test"):
        labels = (arrays[f"{part}_y"] + 1).reshape(y_shape)
        save(tmp_path, kind, {"X": arrays[f"{part}_x"], "y": labels}, f"cub200_resnet50_{part}")
    dataset = load_feature_file(given, tmp_path)
    assert dataset.labels.min() == 0 and dataset.n_classes == 10
    assert np.array_equal(dataset.labels, arrays["train_y"]) and np.array_equal(dataset.test_images, arrays["test_x"])
    assert "cub200_resnet50_test.mat" in dataset.origin


def test_doubles_become_float32_unscaled(tmp_path: Path, arrays: dict[str, Array]) -> None:
    arrays["train_x"] = arrays["train_x"].astype(np.float64) * 40
    arrays["test_x"] = (arrays["test_x"] * 40).astype(np.int32)
    dataset = load_feature_file(save(tmp_path, "npz", arrays))
    assert np.array_equal(dataset.images, arrays["train_x"].astype(np.float32))
    assert np.array_equal(dataset.test_images, arrays["test_x"].astype(np.float32))


def test_labels_that_begin_at_one_are_not_guessed_at_in_an_npz(tmp_path: Path, arrays: dict[str, Array]) -> None:
    for key in ("train_y", "test_y"):
        arrays[key] = arrays[key] + 1
    with pytest.raises(DataError, match=r"class without a row.*\n.*class 0, though labels reach 10"):
        load_feature_file(save(tmp_path, "npz", arrays))


def changed(arrays: dict[str, Array], **changes: Any) -> Variables:
    return {key: value for key, value in {**arrays, **changes}.items() if value is not None}


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "fewer labels": ({"train_y": np.arange(29) % 10}, "not as many labels as rows.*\n.*30 rows and 29 labels"),
    "fewer test labels": ({"test_y": np.arange(19) % 10}, "the test part of own.*\n.*20 rows and 19 labels"),
    "labels turned": ({"train_y": np.eye(10)[np.arange(30) % 10].T}, "10 labels.*\n.*\n.*transpose"),
    "no variable": ({"test_y": None}, r"does not hold the variables.*\n.*test_x \[20, 7\], train_x"),
    "a class missing": ({"train_y": np.repeat([0, 1, 3], 10)}, "class without a row.*\n.*no row of class 2"),
    "a test class untrained": ({"test_y": np.arange(20) % 12}, "no row of class 10, though labels reach 11"),
    "half labels": ({"train_y": np.arange(30) % 10 + 0.5}, "not class numbers.*\n.*0.5 at row 0"),
    "negative labels": ({"train_y": np.arange(30) % 10 - 1.0}, "not class numbers.*\n.*-1 at row 0"),
    "NaN labels": ({"train_y": np.full(30, np.nan)}, "not class numbers.*\n.*nan at row 0"),
    "two ones in a row": ({"train_y": np.ones((30, 10))}, "neither class numbers nor one-hot"),
    "a NaN": ({"train_x": np.full((30, 7), np.nan)}, "NaN or infinite.*\n.*30 such images, the first at row 0"),
    "an infinity": ({"test_x": np.full((20, 7), np.inf)}, "NaN or infinite"),
    "too large for float32": ({"train_x": np.full((30, 7), 1e300)}, "NaN or infinite"),
    "other widths": ({"test_x": np.zeros((20, 8))}, "not of one kind.*\n.*7 float32.*8 float32"),
}


@each_format
@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_is_said(tmp_path: Path, arrays: dict[str, Array], kind: str, case: str) -> None:
    changes, message = BAD[case]
    path = save(tmp_path, kind, changed(arrays, **changes))
    with pytest.raises(DataError, match=message) as caught:
        load_feature_file(path)
    assert "own" in str(caught.value) and str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_x": np.zeros(30)}, "training features of own.npz"),
        ({"train_x": np.zeros((0, 7))}, "training features"),
        ({"train_x": np.array([["a"] * 7] * 30)}, "training features"),
        ({"train_y": np.array(["cat"] * 30)}, "labels of the training part"),
        ({"train_y": np.zeros(0)}, "labels of the training part"),
        ({"train_x": np.zeros((30, 7), complex)}, "training features"),
    ],
)
def test_arrays_of_other_kinds(tmp_path: Path, arrays: dict[str, Array], changes: Variables, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_feature_file(save(tmp_path, "npz", changed(arrays, **changes)))


def test_pickled_objects_are_refused(tmp_path: Path, arrays: dict[str, Array]) -> None:
    path = tmp_path / "own.npz"
    np.savez(path, **changed(arrays, train_y=np.array([{}] * 30, dtype=object)))
    with pytest.raises(DataError, match=r"own.npz cannot be read as an npz file"):
        load_feature_file(path)


def test_half_a_set_says_where_the_other_half_goes(tmp_path: Path, arrays: dict[str, Array]) -> None:
    path = save(tmp_path, "npz", {"X": arrays["train_x"], "y": arrays["train_y"]}, "own_train")
    with pytest.raises(DataError, match=r"own_train.npz does not hold.*\n.*X \[30, 7\].*\n.*\n.*_test"):
        load_feature_file(path)
    save(tmp_path, "npz", {"X": arrays["test_x"], "labels": arrays["test_y"]}, "own_test")
    with pytest.raises(DataError, match=r"own_test.npz does not hold.*\n.*X \[20, 7\], labels \[20\]"):
        load_feature_file(path)


@pytest.mark.parametrize("given", ["", "nothing.npz", "folder", "*.npz"])
def test_a_file_that_is_not_there(tmp_path: Path, given: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(DataError, match=r"(no feature file|does not stand for)"):
        load_dataset(f"features:{given}", tmp_path)


def test_another_ending(tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text("1,2")
    with pytest.raises(DataError, match=r"own.csv.*another format.*\n.*\.csv\n.*\.npz or \.mat"):
        load_feature_file(tmp_path / "own.csv")


def test_variables_that_are_no_numbers_are_passed_over(tmp_path: Path, arrays: dict[str, Array]) -> None:
    path = save(tmp_path, "mat 5", {**arrays, "note": "made by hand", "cells": np.array([{}], dtype=object)})
    assert load_feature_file(path).images.shape == (30, 7)
    path = save(tmp_path, "mat 5", {"note": "nothing else"}, "empty")
    with pytest.raises(DataError, match=r"empty.mat does not hold.*\n.*no array of numbers"):
        load_feature_file(path)
    path = save(tmp_path, "mat 7.3", {"A": np.zeros((2, 3))}, "new")
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "a") as file:
        file.create_group("cells")
        file.create_dataset("note", data=np.zeros((3, 1), np.uint16)).attrs["MATLAB_class"] = np.bytes_("char")
        file.create_dataset("empty", data=np.zeros(2)).attrs["MATLAB_empty"] = 1
    with pytest.raises(DataError, match=r"new.mat does not hold.*\n *Found: +A \[2, 3\]\n"):
        load_feature_file(path)


@pytest.mark.parametrize(
    "content", [b"", b"no MATLAB", b"\0" * 600, b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM" + b"\xff" * 64]
)
def test_a_damaged_mat_file(tmp_path: Path, content: bytes) -> None:
    pytest.importorskip("scipy", reason="the extra 'features' is not installed")
    (tmp_path / "own.mat").write_bytes(content)
    with pytest.raises(DataError, match=r"own.mat (cannot be read as a MATLAB file|does not hold)"):
        load_feature_file(tmp_path / "own.mat")


def test_a_truncated_new_file(tmp_path: Path, arrays: dict[str, Array]) -> None:
    path = save(tmp_path, "mat 7.3", arrays)
    path.write_bytes(path.read_bytes()[:1500])
    with pytest.raises(DataError, match=r"own.mat cannot be read as a MATLAB file"):
        load_feature_file(path)


def test_a_missing_reader_names_the_extra(
    tmp_path: Path, arrays: dict[str, Array], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(tmp_path, "mat 7.3", arrays)

    def missing(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(hdf5.importlib, "import_module", missing)
    with pytest.raises(
        MissingExtraError, match=r"Reading own.mat needs the package 'h5py'.*\n.*neurosleep\[features\]"
    ):
        load_feature_file(path)
