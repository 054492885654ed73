"""Make the embedded data set ``mnist-mini`` from the published MNIST files.

    python tools/make_mnist_mini.py --data DIR [--out FILE]

Takes the first 1000 training and the first 200 test images of each class and keeps file order. The same input gives the
same bytes. Prints size and SHA-256; the latter belongs into ``neurosleep/data/_embedded.py``.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import warnings
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neurosleep.data import load_dataset

TRAIN, TEST = 1000, 200
DEFAULT_OUT = Path(__file__).resolve().parents[1] / "neurosleep" / "data" / "_mini" / "mnist_mini.npz"


def first_of_each_class(labels: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Rows of the first ``n`` images of each class, in file order."""
    return np.sort(np.concatenate([np.flatnonzero(labels == c)[:n] for c in range(10)]))


def pack(arrays: dict[str, NDArray[np.uint8]]) -> bytes:
    """An npz file of the arrays. Fixed time stamps and attributes: numpy's own would differ from run to run."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, array in arrays.items():
            entry = io.BytesIO()
            np.lib.format.write_array(entry, array, version=(1, 0), allow_pickle=False)
            info = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            info.create_system = 3
            info.external_attr = 0o644 << 16
            archive.writestr(info, entry.getvalue(), compresslevel=9)
    return buffer.getvalue()


def main() -> None:
    """Read MNIST, write the subset."""
    parser = argparse.ArgumentParser(description="Make neurosleep/data/_mini/mnist_mini.npz from MNIST.")
    parser.add_argument("--data", type=Path, required=True, help="folder that holds MNIST")
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT, help="file to write")
    options = parser.parse_args()
    # Anything but the published files would give another subset under the same name.
    warnings.simplefilter("error")
    mnist = load_dataset("mnist", options.data, download=False)
    train = first_of_each_class(mnist.labels, TRAIN)
    test = first_of_each_class(mnist.test_labels, TEST)
    raw = pack(
        {
            "x_train": mnist.images[train],
            "y_train": mnist.labels[train].astype(np.uint8),
            "x_test": mnist.test_images[test],
            "y_test": mnist.test_labels[test].astype(np.uint8),
        }
    )
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_bytes(raw)
    print(f"{options.out.name}: {len(raw):,} bytes, SHA-256 {hashlib.sha256(raw).hexdigest()}")


if __name__ == "__main__":
    main()
