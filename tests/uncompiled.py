"""What is compiled, as plain Python: the two must do the same."""

from __future__ import annotations

from types import ModuleType

import pytest


def uncompile(monkeypatch: pytest.MonkeyPatch, *modules: ModuleType) -> None:
    """Replace every compiled function that these modules name."""
    for module in modules:
        names = [name for name, value in vars(module).items() if hasattr(value, "py_func")]
        assert names, module
        for name in names:
            monkeypatch.setattr(module, name, getattr(module, name).py_func)
