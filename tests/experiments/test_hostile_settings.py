"""Experiment files and journals of a search that were damaged or made to hurt: one clear error each, and soon."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neurosleep.errors import NeurosleepError, RunFolderError, SettingsError
from neurosleep.experiments import RunRequest, load_settings, parse_change, run_experiment, search_space
from neurosleep.experiments.reading import apply_changes, default_strategy, default_variants
from neurosleep.experiments.run import one as room
from neurosleep.experiments.run.check import check_request

OWN = """extends = "demo/mnist-mini"
strategy = "src"
engine = "event"
[data]
name = "mnist-mini"
images_per_task = 20
tasks = [[0, 1], [2, 3]]
[network]
sizes = [784, 6, 10]
[wake]
epochs = 1
lr = 0.1
[sleep]
steps = 20
thresholds = [1.0, 1.0]
[sleep.rule]
name = "src"
inc = 0.03
dec = 0.003
[variants.gentle]
"wake.lr" = 0.05
[overrides.src]
"sleep.max_rate" = 200.0
[tune.src]
"wake.lr" = { low = 0.01, high = 0.3, log = true }
"""
DAMAGE = st.lists(
    st.tuples(
        st.integers(0, 1 << 20),
        st.sampled_from(["flip", "cut", "insert", "drop", "piece"]),
        st.integers(0, 255),
        st.sampled_from(["-", "9" * 30, "[" * 30, "{}", "true", '"x"', "1e300", "nan", "[]", ".", "\n", "''", "[[x]]"]),
    ),
    min_size=1,
    max_size=3,
)


def spoil(content: bytes, damage: list[tuple[int, str, int, str]]) -> bytes:
    for at, how, byte, piece in damage:
        at %= max(len(content), 1)
        if how == "cut":
            content = content[:at] if byte < 30 else content
        elif how == "drop":
            content = content[:at] + content[at + 1 + byte % 20 :]
        elif how == "piece":
            content = content[:at] + piece.encode() + content[at + byte % 5 :]
        elif how == "insert":
            content = content[:at] + bytes([byte]) + content[at:]
        elif content:
            content = content[:at] + bytes([content[at] ^ (1 << byte % 8)]) + content[at + 1 :]
    return content


def check_file(folder: Path, damage: list[tuple[int, str, int, str]]) -> None:
    """Everything that is done with an experiment file before its data are read."""
    path = folder / "own.toml"
    path.write_bytes(spoil(OWN.encode(), damage))
    start = time.process_time()
    try:
        for variant in default_variants(str(path)):
            for strategy in default_strategy(str(path), variant).split(","):
                name, found = load_settings(str(path), strategy=strategy, variant=variant)
                check_request(RunRequest(name, variant, strategy, 0, found, None, str(folder / "o")))
                search_space(str(path), strategy, found)
    except NeurosleepError as error:
        assert len(str(error)) < 5000
    assert time.process_time() - start < 10
    assert [file.name for file in folder.iterdir()] == ["own.toml"]


@settings(max_examples=60, suppress_health_check=list(HealthCheck), deadline=None)
@given(damage=DAMAGE)
def test_damaged_experiment_files(tmp_path: Path, damage: list[tuple[int, str, int, str]]) -> None:
    check_file(tmp_path, damage)


@pytest.mark.full
@settings(max_examples=3000, suppress_health_check=list(HealthCheck), deadline=None)
@given(damage=DAMAGE)
def test_three_thousand_damaged_experiment_files(tmp_path: Path, damage: list[tuple[int, str, int, str]]) -> None:
    check_file(tmp_path, damage)


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xfe" + OWN.encode("utf-16-le"),
        OWN.encode() + b"# \xe9\n",
        b"x = " + b"[" * 100_000,
        b"x = " + b"[" * 300 + b"]" * 300,
        b"x = " + b"9" * 5000,
        b"x = 9" + b"9" * 30,
        b"note = 'a\0b'",
        b'note = "a\\u0000b"',
        b"note = 2020-01-01",
        b"overrides = 3",
        b"overrides = [3]",
        b"variants = [1]",
        b"data = 3",
        b"data = [[1]]",
        b"extends = 3",
        b"extends = [1]",
        b"tune = 3",
        b"faithful_settings = true",
        b"[[sleep]]\nsteps = 3",
        b"[network]\nkind = [1]",
        b"[network]\nkind = true",
        b"",
    ],
    ids=range(22),
)
def test_files_of_every_encoding_and_shape(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "own.toml"
    path.write_bytes(content)
    try:
        load_settings(str(path), strategy="src")
        assert content in (b"", b"tune = 3")
        search_space(str(path), "src", load_settings(str(path))[1])
    except SettingsError:
        pass


def test_a_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_bytes(b"\xef\xbb\xbf" + OWN.encode())
    assert load_settings(str(tmp_path / "own.toml"))[1].sleep.rem.steps == 20


def test_files_that_extend_each_other_are_refused(tmp_path: Path) -> None:
    for one, other in ("ab", "ba"):
        (tmp_path / f"{one}.toml").write_text(f'extends = "{tmp_path}/{other}.toml"\n')
    with pytest.raises(SettingsError, match="extends itself"):
        load_settings(str(tmp_path / "a.toml"))


@pytest.mark.parametrize(
    "change",
    [
        "network.sizes=[784, true, 10]",
        "network.sizes=[784, 1.5, 10]",
        "network.sizes=[784, 100000000000, 10]",
        "network.sizes=[784, 99999999999999999999, 10]",
        "network.init=1e300",
        "network.init=1e-300",
        "wake.lr=nan",
        "wake.lr=true",
        "wake.lr=[0.1]",
        "wake.lr_per_task=[true]",
        "wake.epochs_per_task=[1.5]",
        "sleep.rule={}",
        "sleep.rule.inc=true",
        "sleep.rule.inc=[1]",
        "sleep.rule.name=3",
        "sleep.thresholds=[1.0, 'x']",
        "sleep.thresholds=[1.0, -1.0]",
        "sleep.thresholds=[1.0]",
        "sleep.rates=[0.1]",
        "sleep.rates=[true, 0.1]",
        "sleep.after=[true]",
        "sleep.lengths=[]",
        "sleep.steps=4611686018427387904",
        "sleep.spike_limit=0",
        "sleep.spike_limit=-1.0",
        "sleep.window=-1",
        "data.scale=standard",
        "data.tasks=[0, 1]",
        "data.tasks=[[true]]",
        "data.tasks=[[]]",
        "data.tasks=[]",
        "data.tasks=3",
        "hardware.profiles=[3]",
        "hardware.images=1",
    ],
)
def test_what_can_be_refused_is_refused_before_the_first_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    monkeypatch.setattr(room, "learn_tasks", lambda *given, **more: pytest.fail("learning started"))
    (tmp_path / "own.toml").write_text(OWN)
    with pytest.raises(NeurosleepError):
        name, found = load_settings(str(tmp_path / "own.toml"), strategy="src", changes=[parse_change(change)])
        run_experiment([RunRequest(name, "v", "src", 0, found, None, str(tmp_path / "o"))])
    assert not (tmp_path / "o").exists()


# --- the journal of a search ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """What a search of four trials writes."""
    folder = tmp_path_factory.mktemp("study")
    study = _study(folder)
    for k in range(4):
        with study.reserve(4) as trial:
            assert trial is not None
            study.report(trial, 0.1 * k, 0)
            study.tell(trial, 0.1 * k)
    return (folder / "journal.log").read_bytes()


def _study(folder: Path):  # type: ignore[no-untyped-def]
    pytest.importorskip("optuna")
    from neurosleep.experiments.tuning.study import Study

    (folder / "own.toml").write_text(OWN)
    found = load_settings(str(folder / "own.toml"), strategy="src")[1]
    return Study(folder, search_space(str(folder / "own.toml"), "src", apply_changes(found, [])), "tpe", 0)


def check_journal(journal: bytes, folder: Path, damage: list[tuple[int, str, int, str]]) -> None:
    (folder / "journal.log").write_bytes(journal)
    good = [(t.number, t.params, t.value) for t in _study(folder).finished()]
    assert len(good) == 4
    (folder / "journal.log").write_bytes(spoil(journal, damage))
    start = time.process_time()
    try:
        found = [(t.number, t.params, t.value) for t in _study(folder).finished()]
    except RunFolderError as error:
        assert "journal.log" in str(error)
    else:
        # What is missing at the end was perhaps about to be written, and is computed again.
        assert found == good[: len(found)]
    assert time.process_time() - start < 10


@settings(max_examples=40, suppress_health_check=list(HealthCheck), deadline=None)
@given(damage=DAMAGE)
def test_a_damaged_journal_is_refused_or_the_same(
    journal: bytes, tmp_path: Path, damage: list[tuple[int, str, int, str]]
) -> None:
    check_journal(journal, tmp_path, damage)


@pytest.mark.full
@settings(max_examples=3000, suppress_health_check=list(HealthCheck), deadline=None)
@given(damage=DAMAGE)
def test_three_thousand_damaged_journals(
    journal: bytes, tmp_path: Path, damage: list[tuple[int, str, int, str]]
) -> None:
    check_journal(journal, tmp_path, damage)
