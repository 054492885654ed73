"""The wheel holds the profiles: installed elsewhere, it loads them without the checkout."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from neurosleep.hardware import profile_names

ROOT = Path(__file__).parents[2]
PARTS = ("pyproject.toml", "setup.py", "README.md", "LICENSE", "NOTICE")
BUILD = "import sys; from setuptools.build_meta import build_wheel; print(build_wheel(sys.argv[1]))"
LOAD = (
    "import sys; sys.path.insert(0, sys.argv[1])\n"
    "import neurosleep as ns\n"
    "from neurosleep.hardware import profile_names\n"
    "assert ns.__file__.startswith(sys.argv[1]), ns.__file__\n"
    "print(*profile_names(), ns.load_profile('loihi1').name, sep='\\n')\n"
)


@pytest.mark.slow
def test_a_wheel_that_is_installed_elsewhere_loads_its_profiles(tmp_path: Path) -> None:
    pytest.importorskip("setuptools")
    copy, there = tmp_path / "checkout", tmp_path / "there"
    copy.mkdir()
    for part in PARTS:
        shutil.copy(ROOT / part, copy)
    for folder in ("neurosleep", "hardware_profiles"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    built = subprocess.run(
        [sys.executable, "-c", BUILD, str(tmp_path)], cwd=copy, capture_output=True, text=True, timeout=1800
    )
    assert built.returncode == 0, built.stderr[-2000:]
    wheel = tmp_path / built.stdout.splitlines()[-1]
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        archive.extractall(there)  # what an installer does with a wheel of pure Python
    # The rest is where it was before the profiles were mapped in.
    assert {"neurosleep/py.typed", "neurosleep/cli/app.py"} <= set(names)
    wanted = {f"neurosleep/{p.relative_to(ROOT / 'neurosleep')}" for p in (ROOT / "neurosleep").rglob("*.py")}
    assert wanted <= set(names)
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {"neurosleep"}
    shutil.rmtree(copy)
    loaded = subprocess.run(
        [sys.executable, "-I", "-c", LOAD, str(there)], cwd=tmp_path, capture_output=True, text=True, timeout=1800
    )
    assert loaded.returncode == 0, loaded.stderr[-2000:]
    assert loaded.stdout.splitlines() == [*profile_names(), "Loihi (first generation)"]
