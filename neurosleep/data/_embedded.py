"""The small piece of MNIST that ships with the package."""

from __future__ import annotations

from importlib.resources import files

from neurosleep.data._files import open_npz
from neurosleep.data._published import sha256
from neurosleep.data.dataset import Dataset
from neurosleep.errors import DataError

__all__ = ["FILE", "NAME", "SHA256", "read_embedded"]

NAME = "mnist-mini"
FILE = "mnist_mini.npz"
# Written by tools/make_mnist_mini.py, which prints it.
SHA256 = "40c2769945a0029f3a4350346db046bc68a41508b84232e2f2cbc161dc776939"


def read_embedded() -> Dataset:
    """The data set ``mnist-mini``: 1000 training and 200 test images of each digit, the first of each in file order.

    Raises
    ------
    DataError
        If the file is missing from the installed package or was changed.
    """
    label = f"neurosleep/data/_mini/{FILE}"
    hint = "install neurosleep again"
    try:
        raw = files("neurosleep.data").joinpath("_mini", FILE).read_bytes()
    except OSError as error:
        raise DataError(f"{label} is missing from the installed package.", hint=hint) from error
    digest = sha256(raw)
    if digest != SHA256:
        raise DataError(f"{label} was changed.", found=f"SHA-256 {digest}", expected=SHA256, hint=hint)
    arrays, _ = open_npz(raw, label)
    return Dataset(
        name=NAME,
        images=arrays["x_train"],
        labels=arrays["y_train"],
        test_images=arrays["x_test"],
        test_labels=arrays["y_test"],
        n_classes=10,
        origin="embedded: the first 1000 training and 200 test images of each class of MNIST",
    )
