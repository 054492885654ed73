from __future__ import annotations

import hashlib
import importlib.resources
import os
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

from neurosleep.data import _embedded, load_dataset
from neurosleep.errors import DataError

pytestmark = pytest.mark.filterwarnings("error")

TOOL = Path(__file__).resolve().parents[2] / "tools" / "make_mnist_mini.py"
NOTICE = Path(__file__).resolve().parents[2] / "NOTICE"


def test_is_small_and_what_it_says() -> None:
    path = importlib.resources.files("neurosleep.data").joinpath("_mini", "mnist_mini.npz")
    raw = path.read_bytes()
    assert len(raw) < 3_000_000
    assert hashlib.sha256(raw).hexdigest() == _embedded.SHA256
    data = load_dataset("mnist-mini")
    assert data.images.shape == (10_000, 28, 28) and data.test_images.shape == (2_000, 28, 28)
    assert data.images.dtype == np.uint8 and data.labels.dtype == np.int64
    assert np.bincount(data.labels).tolist() == [1000] * 10
    assert np.bincount(data.test_labels).tolist() == [200] * 10
    # The first labels of the published files.
    assert data.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert data.test_labels[:5].tolist() == [7, 2, 1, 0, 4]


def test_needs_neither_folder_nor_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NEUROSLEEP_DATA", str(tmp_path / "nowhere"))
    assert load_dataset("mnist-mini", tmp_path / "nowhere either", download=False).origin.startswith("embedded")


def test_a_changed_file_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_embedded, "SHA256", "0" * 64)
    with pytest.raises(DataError, match=r"mnist_mini\.npz was changed"):
        load_dataset("mnist-mini")


def test_a_missing_file_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_embedded, "FILE", "gone.npz")
    with pytest.raises(DataError, match=r"gone\.npz is missing"):
        load_dataset("mnist-mini")


def test_its_licence_is_in_the_notice() -> None:
    text = NOTICE.read_text(encoding="utf-8")
    for word in ("mnist_mini.npz", "LeCun", "Cortes", "Burges", "CC BY-SA 3.0"):
        assert word in text


def real_folder() -> str | None:
    return os.environ.get("NEUROSLEEP_DATA")


@pytest.mark.skipif(not real_folder(), reason="NEUROSLEEP_DATA is not set")
class TestAgainstTheRealFiles:
    # Read when the module is imported, before the fixture of conftest.py hides it.
    folder = real_folder() or ""

    def test_the_tool_makes_the_same_bytes_again(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        out = tmp_path / "again" / "mini.npz"
        monkeypatch.setattr(sys, "argv", [str(TOOL), "--data", self.folder, "--out", str(out)])
        runpy.run_path(str(TOOL), run_name="__main__")
        assert hashlib.sha256(out.read_bytes()).hexdigest() == _embedded.SHA256
        assert _embedded.SHA256 in capsys.readouterr().out

    def test_it_is_the_first_of_each_class_in_file_order(self) -> None:
        whole, mini = load_dataset("mnist", self.folder, download=False), load_dataset("mnist-mini")
        seen = [0] * 10
        row = 0
        for image, label in zip(whole.images, whole.labels, strict=True):
            if seen[label] < 1000:
                assert mini.labels[row] == label and np.array_equal(mini.images[row], image)
                seen[label] += 1
                row += 1
        assert row == 10_000
        for c in range(10):
            first = whole.test_images[whole.test_labels == c][:200]
            assert np.array_equal(mini.test_images[mini.test_labels == c], first)
