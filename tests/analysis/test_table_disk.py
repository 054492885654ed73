"""A table that cannot be written is an error of the folder, and leaves the old file."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from neurosleep.analysis import Table
from neurosleep.errors import RunFolderError


def test_a_full_disk_leaves_the_old_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.csv").write_text("old")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(RunFolderError, match="No space left"):
        Table({"x": [1, 2]}).to_csv(tmp_path / "a.csv")
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("a.csv", "old")]
