"""What client and workers of a cluster say to each other: parcels, requests and errors survive the way."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurosleep import errors
from neurosleep.errors import MissingExtraError, NeurosleepError, RunFolderError, SettingsError
from neurosleep.experiments import RunRequest, experiment_names, load_settings, run_experiment, variant_names
from neurosleep.experiments.names import LONGEST_NAME
from neurosleep.experiments.run import remote
from neurosleep.experiments.run.message import Side, differing, error_message, message_of, read_error, request_from
from neurosleep.experiments.schedule.parcel import files_in, pack, unpack

PARTS = st.from_regex(r"[a-z0-9_=,][a-z0-9_.=,]{0,20}", fullmatch=True)
NAMES = st.lists(PARTS, min_size=1, max_size=3).map("/".join)


@given(st.dictionaries(NAMES, st.binary(max_size=50), max_size=5), st.dictionaries(st.text(), st.integers()))
def test_a_parcel_holds_what_was_packed(files: dict[str, bytes], content: dict[str, int]) -> None:
    assert unpack(pack(content, files)) == (content, files)


@pytest.mark.parametrize(
    "name", ["../a", "/a", "a/../b", "a//b", "", ".hidden", "C:\\a", "a\\b", "a\0b", "x" * (LONGEST_NAME + 1)]
)
def test_a_file_outside_the_folder_is_refused(name: str) -> None:
    with pytest.raises(RunFolderError, match="no parcel of a run"):
        unpack(pack({}, {name: b"x"}))


@given(st.binary(max_size=60), st.integers(0, 200))
def test_what_is_no_whole_parcel_is_refused(junk: bytes, cut: int) -> None:
    whole = pack({"a": 1}, {"b": b"content"})
    for damaged in (junk, whole[: min(cut, len(whole) - 1)], whole + b"x", whole[:20] + junk + whole[20:] + b"."):
        with pytest.raises(RunFolderError, match="no parcel of a run"):
            unpack(damaged)


@pytest.mark.parametrize("head", ["[]", "{}", '{"content": 1, "files": {}}', '{"content": {}, "files": {"a": -1}}'])
def test_a_parcel_of_another_shape_is_refused(head: str) -> None:
    mark = pack({}, {})[: len(b"neurosleep parcel 1\n")]
    with pytest.raises(RunFolderError, match="no parcel of a run"):
        unpack(mark + len(head).to_bytes(8, "big") + head.encode())


def test_the_files_of_a_folder_are_those_of_a_run(tmp_path: Path) -> None:
    assert files_in(tmp_path / "nowhere") == {}
    for name in ("a.csv", "lock", ".a.csv.12.tmp", "resume/bundle.safetensors"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    assert files_in(tmp_path) == {name: name.encode() for name in ("a.csv", "resume/bundle.safetensors")}
    (tmp_path / "out").symlink_to(tmp_path.parent)
    with pytest.raises(RunFolderError, match="leads out of"):
        files_in(tmp_path)


@pytest.mark.parametrize("experiment", experiment_names())
def test_every_packaged_experiment_is_the_same_there(experiment: str) -> None:
    for variant in ("default", *variant_names(experiment)[:2]):
        name, settings = load_settings(experiment, strategy="src", variant=variant)
        request = RunRequest(name, variant, "src", 7, settings, "/home/me/data", "o", False, "run --data /home/me/data")
        sent = json.loads(json.dumps(message_of(request, "0" * 64)))
        there = request_from(sent, "/elsewhere", "tmp", resume=True)
        assert there.settings == settings and there.name == request.name
        assert (there.data, there.out, there.resume, there.command) == ("/elsewhere", "tmp", True, "run --data DATA")


def test_versions_that_differ_are_named() -> None:
    client: Side = {"versions": {"python": "3.12.1", "torch": "2.6.0", "norse": None, "snntorch": "1.0"}, "commit": "a"}
    assert differing(client, client) == []
    # What changes no number does not count, nor a commit that only one of them knows.
    for commit in (None, "a-dirty"):
        assert differing(client, {"versions": {**client["versions"], "norse": "1.1"}, "commit": commit}) == []
    others: Side = {"versions": {"python": "3.12.1", "torch": "2.5.1"}, "commit": "b"}
    assert differing(client, others) == [
        "torch 2.5.1, not 2.6.0",
        "snntorch missing, not 1.0",
        "neurosleep at commit b, not a",
    ]


def test_errors_come_back_as_what_they_were() -> None:
    kinds = [kind for name in errors.__all__ if isinstance(kind := getattr(errors, name), type)]
    for kind in (kind for kind in kinds if issubclass(kind, NeurosleepError)):
        error = kind("No.", found="a", expected="b", hint="c")
        again = read_error(json.loads(json.dumps(error_message(error))))
        assert type(again) is kind and str(again) == str(error)

    class OwnError(SettingsError):
        pass

    assert type(read_error(error_message(OwnError("No.")))) is SettingsError  # type: ignore[arg-type]
    try:
        raise ZeroDivisionError("ours")
    except ZeroDivisionError as error:
        internal = read_error(error_message(error))
    assert not isinstance(internal, NeurosleepError) and "ZeroDivisionError: ours" in str(internal)
    assert "test_errors_come_back" in str(internal)


@pytest.mark.parametrize("kind", ["Path", "missing_extra", "annotations", None, 3])
def test_an_error_of_no_known_class_is_an_internal_one(kind: Any) -> None:
    assert isinstance(read_error({"type": kind, "message": "x"}), RuntimeError)


def test_a_worker_takes_its_own_data_folder_before_that_of_the_client(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NEUROSLEEP_DATA", raising=False)
    message: Any = {"folder": str(tmp_path)}
    assert remote._data_folder(message) == str(tmp_path)
    assert remote._data_folder({**message, "folder": str(tmp_path / "nowhere")}) is None
    monkeypatch.setenv("NEUROSLEEP_DATA", "mine")
    assert remote._data_folder(message) == "mine"


# --- the extra --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("program", "modules"),
    [
        ("import neurosleep.experiments.run.on_cluster", ("distributed", "dask")),
        ("import neurosleep._worker", ("torch", "numpy", "distributed")),
        (
            "from typer.testing import CliRunner; from neurosleep.cli.app import app; "
            "assert '--scheduler' in CliRunner().invoke(app, ['run', '--help'], terminal_width=200).output",
            ("torch", "numpy", "distributed", "dask"),
        ),
    ],
)
def test_what_needs_no_worker_imports_no_dask(program: str, modules: tuple[str, ...]) -> None:
    program += f"; import sys; sys.exit(','.join(name for name in {modules} if name in sys.modules) or 0)"
    child = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert child.returncode == 0, child.stderr


def test_without_the_extra_the_message_names_it_and_no_worker_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    name, settings = load_settings("src2022/patches", strategy="joint")
    asked = RunRequest(name, "default", "joint", 0, settings, None, str(tmp_path / "o"))
    with pytest.raises(MissingExtraError, match=r"neurosleep\[cluster\]"):
        run_experiment([asked], scheduler="tcp://127.0.0.1:9")
    assert not (tmp_path / "o").exists()
