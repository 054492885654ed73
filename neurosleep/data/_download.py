"""The only code of the package that reaches for the network: torchvision's downloads, put into a cache folder."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

__all__ = ["default_cache", "download", "download_cifar10"]

# Seconds without an answer after which a mirror counts as out of reach. torchvision itself sets no limit.
TIMEOUT = 15.0


def default_cache() -> Path:
    """Folder for downloads: ``$XDG_CACHE_HOME/neurosleep/data``, or ``~/.cache/neurosleep/data``."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG specification says that a relative path there is to be ignored.
    home = os.path.expanduser("~")
    if os.path.isabs(base):
        root = Path(base)
    elif os.path.isabs(home):
        root = Path(home, ".cache")
    else:
        # A user without a home (a container with another user id): nothing is there, and nothing can be kept.
        root = Path(os.devnull)
    return root / "neurosleep" / "data"


def download(kind: str, cache: Path) -> None:
    """Fetch a set with torchvision into ``cache``/``kind``/raw.

    The files appear there whole or not at all: they are fetched into a folder beside it and moved at the end, so that
    a broken-off download leaves nothing that could be read later.

    Parameters
    ----------
    kind:
        Class of torchvision (``MNIST``, ``FashionMNIST``, ``KMNIST``).
    cache:
        The cache folder; made if it is missing.

    Raises
    ------
    Exception
        Whatever torchvision, the network or the disk raised.
    """
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".unfinished-", dir=cache) as temporary:
        with _quiet_and_limited():
            getattr(importlib.import_module("torchvision.datasets"), kind)(temporary, train=False, download=True)
        fetched = Path(temporary) / kind / "raw"
        target = cache / kind / "raw"
        target.mkdir(parents=True, exist_ok=True)
        for path in sorted(fetched.iterdir()):
            # The packed file is a fifth of the size and the one whose checksum is published.
            if not path.with_name(path.name + ".gz").exists():
                path.replace(target / path.name)


def download_cifar10(cache: Path) -> None:
    """Fetch CIFAR-10 with torchvision into ``cache``/CIFAR10/cifar-10-batches-py, whole or not at all.

    Parameters
    ----------
    cache:
        The cache folder; made if it is missing.

    Raises
    ------
    Exception
        Whatever torchvision, the network or the disk raised.
    """
    folder = "cifar-10-batches-py"
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".unfinished-", dir=cache) as temporary:
        with _quiet_and_limited():
            importlib.import_module("torchvision.datasets").CIFAR10(temporary, download=True)
        target = cache / "CIFAR10" / folder
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            (Path(temporary) / folder).replace(target)


@contextlib.contextmanager
def _quiet_and_limited() -> Iterator[None]:
    """Limit the wait for the network, keep stdout clean, and show progress bars on a terminal only."""
    before = socket.getdefaulttimeout()
    stderr = sys.stderr if sys.stderr is not None and sys.stderr.isatty() else io.StringIO()
    socket.setdefaulttimeout(TIMEOUT)
    try:
        with contextlib.redirect_stderr(stderr), contextlib.redirect_stdout(stderr):
            yield
    finally:
        socket.setdefaulttimeout(before)
