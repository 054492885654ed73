"""Which commit of neurosleep is running, where that can be known."""

from __future__ import annotations

import os
import subprocess
import tomllib
from functools import cache
from pathlib import Path

__all__ = ["commit_of", "own_commit"]


@cache
def own_commit() -> str | None:
    """The commit this package runs from, as :func:`commit_of` gives it; asked once, since the code is loaded once."""
    return commit_of(Path(__file__).resolve().parents[3])


def commit_of(root: Path) -> str | None:
    """The commit checked out in ``root``, with ``-dirty`` behind it where tracked files were changed since.

    None where ``root`` is no git checkout of neurosleep (an installed package, perhaps inside the repository of
    something else), and where git is missing or cannot tell.
    """
    # A hook of some other repository may have told git to look there.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    environment |= {"GIT_CEILING_DIRECTORIES": str(root.parent), "GIT_OPTIONAL_LOCKS": "0"}
    try:
        project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8")).get("project", {})
        if project.get("name") != "neurosleep" or not (root / ".git").exists():
            return None
        answer = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            cwd=root,
            env=environment,
            capture_output=True,
            text=True,
            timeout=20,
        )
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None
