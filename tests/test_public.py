"""What `import neurosleep as ns` offers."""

from __future__ import annotations

import pkgutil
import subprocess
import sys

import pytest

import neurosleep as ns
from neurosleep import errors


def fresh(code: str) -> str:
    """What ``code`` prints in a new interpreter, where nothing of the package is imported yet."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_dir_is_the_public_names_and_the_subpackages() -> None:
    packages = {m.name for m in pkgutil.iter_modules(ns.__path__) if not m.name.startswith("_")}
    expected = sorted({*ns.__all__, *packages - {"hardware_profiles"}})
    assert dir(ns) == expected
    # Used or not, imported or not: what is on tab stays the same.
    assert ns.hardware.load_profile is ns.load_profile
    assert dir(ns) == expected
    assert fresh("import neurosleep; print(*dir(neurosleep))").split() == expected


def test_subpackages_need_no_import_of_their_own() -> None:
    used = "ns.hardware.profile_names, ns.plot.raster, ns.analysis.isi, ns.errors.DataError"
    assert fresh(f"import neurosleep as ns; print(len(({used})))") == "4"


def test_the_front_door_alone_imports_nothing_heavy() -> None:
    loaded = "sorted({'torch', 'numpy', 'numba', 'matplotlib', 'inspect'} & set(sys.modules))"
    assert fresh(f"import sys, neurosleep; dir(neurosleep); print({loaded})") == "[]"


@pytest.mark.parametrize("name", ns._PUBLIC)
def test_every_public_name_is_that_of_its_subpackage(name: str) -> None:
    assert getattr(ns, name) is getattr(sys.modules[ns._PUBLIC[name]], name)


def test_every_error_is_public() -> None:
    classes = {name for name in errors.__all__ if isinstance(getattr(errors, name), type)}
    assert classes <= set(ns.__all__)


def test_a_name_that_is_none_is_said_to_be_none() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'slep'"):
        _ = ns.slep
