"""The wheel, built from the source distribution as ``python -m build`` does, holds all that the package needs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

import neurosleep as ns
from neurosleep.hardware import profile_names

ROOT = Path(__file__).parents[1]
PARTS = ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE", "NOTICE", "CHANGELOG.md", "CITATION.cff")
FOLDERS = ("neurosleep", "hardware_profiles")
BUILD = "import sys; from setuptools import build_meta; print(getattr(build_meta, sys.argv[1])(sys.argv[2]))"
# Every file that is read while the package works: profiles, embedded data, weights, experiments, templates, references.
USE = """
import sys; sys.path.insert(0, sys.argv[1])
import json, pathlib
import neurosleep as ns
from neurosleep.data.extractors.vgg import vgg_tiny_imagenet
from neurosleep.experiments import cite, experiment_names, load_settings
assert ns.__file__.startswith(sys.argv[1]), ns.__file__
vgg_tiny_imagenet()
images = ns.load_dataset("mnist-mini").test_images
settings = [load_settings(name) for name in experiment_names()]
profiles = [ns.load_profile(name).id for name in ns.hardware.profile_names()]
print(json.dumps([len(images), experiment_names(), profiles, len(cite()["references"])]))
"""


def built(kind: str, source: Path, folder: Path) -> Path:
    command = [sys.executable, "-c", BUILD, f"build_{kind}", str(folder)]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stderr[-2000:]
    return folder / done.stdout.splitlines()[-1]


def package_files() -> set[str]:
    """What the wheel is to hold: every file of the package, and the profiles inside it."""
    names = set()
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                names.add(path.relative_to(ROOT).as_posix())
    return {name if name.startswith("neurosleep/") else f"neurosleep/{name}" for name in names}


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The source distribution, and the wheel that is made of it."""
    pytest.importorskip("setuptools", minversion="77")
    folder = tmp_path_factory.mktemp("release")
    copy = folder / "checkout"
    copy.mkdir()
    for part in PARTS:
        shutil.copy(ROOT / part, copy)
    for part in FOLDERS:
        shutil.copytree(ROOT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "tests").mkdir()
    (copy / "tests" / "test_one.py").write_text("")
    source = built("sdist", copy, folder)
    shutil.rmtree(copy)
    with tarfile.open(source) as archive:
        archive.extractall(folder / "unpacked", filter="data")
    (unpacked,) = (folder / "unpacked").iterdir()
    return source, built("wheel", unpacked, folder)


@pytest.mark.slow
def test_the_wheel_holds_every_file_of_the_package_and_nothing_else(distributions: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(distributions[1]) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    wanted = package_files()
    assert {"neurosleep/py.typed", "neurosleep/data/_mini/mnist_mini.npz"} < wanted and len(wanted) > 700
    assert names == wanted


@pytest.mark.slow
def test_the_source_distribution_holds_what_the_wheel_is_made_of(distributions: tuple[Path, Path]) -> None:
    with tarfile.open(distributions[0]) as archive:
        names = {member.name.partition("/")[2] for member in archive.getmembers() if member.isfile()}
    inside = {name.removeprefix("neurosleep/") if "/hardware_profiles/" in name else name for name in package_files()}
    assert names >= inside | set(PARTS)
    assert {name.partition("/")[0] for name in names - inside - set(PARTS)} == {
        "PKG-INFO",
        "neurosleep.egg-info",
        "setup.cfg",
    }


@pytest.mark.slow
def test_the_wheel_says_what_it_is(distributions: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(distributions[1]) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        information = name.removesuffix("METADATA")
        metadata = Parser().parsestr(archive.read(name).decode())
        licences = {archive.read(f"{information}licenses/{part}") for part in ("LICENSE", "NOTICE")}
        commands = archive.read(f"{information}entry_points.txt").decode()
        kind = archive.read(f"{information}WHEEL").decode()
    assert (metadata["Name"], metadata["Version"]) == ("neurosleep", ns.__version__)
    assert metadata["License-Expression"] == "MIT" and len(licences) == 2
    assert metadata.get_payload() == (ROOT / "README.md").read_text(encoding="utf-8")
    assert "neurosleep = neurosleep.cli:main" in commands and "Root-Is-Purelib: true" in kind
    assert metadata.get_all("Project-URL") is None  # until an address exists


@pytest.mark.slow
def test_a_wheel_that_is_installed_elsewhere_reads_its_files(distributions: tuple[Path, Path], tmp_path: Path) -> None:
    with zipfile.ZipFile(distributions[1]) as archive:
        archive.extractall(tmp_path)  # what an installer does with a wheel of pure Python
    command = [sys.executable, "-I", "-c", USE, str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stderr[-2000:]
    images, experiments, profiles, references = json.loads(done.stdout)
    assert images == len(ns.load_dataset("mnist-mini").test_images)
    assert tuple(experiments) == tuple(ns.experiments.experiment_names())
    assert tuple(profiles) == profile_names() and references == len(ns.experiments.cite()["references"])


def python(minor: int) -> str | None:
    """Where that Python is, if it is at hand."""
    if sys.version_info[:2] == (3, minor):
        return sys.executable
    if (command := shutil.which(f"python3.{minor}")) is not None:
        return command
    if (pyenv := shutil.which("pyenv")) is None:
        return None
    place = subprocess.run([pyenv, "prefix", f"3.{minor}"], capture_output=True, text=True, timeout=600)
    return f"{place.stdout.strip()}/bin/python" if place.returncode == 0 else None


@pytest.mark.full
@pytest.mark.parametrize("minor", [11, 12, 13])
def test_a_bare_environment_with_the_wheel_runs_the_commands(distributions: tuple[Path, Path], minor: int) -> None:
    """With pip, some gigabytes and some minutes; the script is that of ``make try-wheel``."""
    interpreter = python(minor)
    if interpreter is None:
        pytest.skip(f"needs Python 3.{minor}")
    command = [sys.executable, str(ROOT / "tools" / "try_wheel.py"), str(distributions[1]), "--python", interpreter]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=7200)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    listed = json.loads(done.stdout.splitlines()[-1])
    assert listed["python"].startswith(f"3.{minor}.")
    assert sorted(listed["experiments"]) == sorted(ns.experiments.experiment_names())
