"""The commit in environment.json: that of our own checkout, never that of a repository around an installed package."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from neurosleep.experiments.run.commit import commit_of

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def git(folder: Path, *arguments: str) -> str:
    person = ["-c", "user.name=somebody", "-c", "user.email=somebody@example.org", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(folder), *person, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def checkout(folder: Path, name: str) -> str:
    """A repository of a project of this name; gives its commit."""
    folder.mkdir()
    (folder / "pyproject.toml").write_text(f'[project]\nname = "{name}"\n')
    git(folder, "init", "-q")
    git(folder, "add", "pyproject.toml")
    git(folder, "commit", "-q", "-m", "first")
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture(autouse=True)
def no_outer_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)


def test_of_a_checkout_it_is_the_commit_and_says_what_was_changed(tmp_path: Path) -> None:
    root = tmp_path / "ours"
    commit = checkout(root, "neurosleep")
    assert len(commit) == 40
    git(root, "tag", "-a", "v1", "-m", "v1")
    (root / "notes.txt").write_text("not tracked")
    assert commit_of(root) == commit
    (root / "pyproject.toml").write_text('[project]\nname = "neurosleep"\nversion = "1"\n')
    assert commit_of(root) == commit + "-dirty"


def test_of_a_foreign_repository_it_is_none(tmp_path: Path) -> None:
    root = tmp_path / "theirs"
    checkout(root, "theirs")
    assert commit_of(root) is None
    # Their virtual environment, and a copy of our sources without our history.
    installed = root / ".venv" / "lib" / "python3" / "site-packages"
    installed.mkdir(parents=True)
    assert commit_of(installed) is None
    (installed / "pyproject.toml").write_text('[project]\nname = "neurosleep"\n')
    assert commit_of(installed) is None
    # Nor does a broken repository of ours let git look further up.
    (installed / ".git").mkdir()
    assert commit_of(installed) is None


def test_the_repository_of_a_hook_is_not_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = checkout(tmp_path / "ours", "neurosleep")
    checkout(tmp_path / "theirs", "theirs")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "theirs" / ".git"))
    assert commit_of(tmp_path / "ours") == commit


def test_without_git_or_a_readable_project_it_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "ours"
    checkout(root, "neurosleep")
    with monkeypatch.context() as patch:
        patch.setenv("PATH", "")
        assert commit_of(root) is None
    (root / "pyproject.toml").write_text("= no TOML")
    assert commit_of(root) is None
    shutil.rmtree(root / ".git")
    assert commit_of(root) is None
