"""Searching for the arguments of a function of the user's own, which trains something and returns how good it is."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import importlib.util
import inspect
import json
import os
import sys
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neurosleep._checks import check_count
from neurosleep._files import check_folder
from neurosleep._progress import ShowProgress, shows_progress
from neurosleep._surroundings import surroundings_kept
from neurosleep.errors import NeurosleepError, RunFolderError, SettingsError
from neurosleep.experiments.changes import toml_value
from neurosleep.experiments.experiment import Table
from neurosleep.experiments.files import check_plain
from neurosleep.experiments.inside import check_tree
from neurosleep.experiments.metrics import spread_of
from neurosleep.experiments.plain import PlainTable, number
from neurosleep.experiments.run.origin import versions
from neurosleep.experiments.run_folder import Origin, write_whole
from neurosleep.experiments.schedule.executor import Executor, Outcome
from neurosleep.experiments.schedule.workers import Processes, check_main_guard
from neurosleep.experiments.tuning.search import TUNING_SEEDS, Found, check_sampler, table_of
from neurosleep.experiments.tuning.space import Parameter, check_entry, check_start, parameter_of
from neurosleep.experiments.tuning.trials import Report, Work, finish_trials, start_search
from neurosleep.functional import check_seed

if TYPE_CHECKING:
    from neurosleep.experiments.tuning.study import Study

__all__ = ["FileFunction", "read_space", "tune_function"]

_SEED = "seed"
_RECORD = "tuned"


@dataclass(frozen=True)
class FileFunction:
    """The function ``name`` of a Python file, found anew in each process; modules beside the file can be imported."""

    file: str
    name: str

    @classmethod
    def of(cls, text: str) -> FileFunction:
        """From ``FILE.py:NAME``, as a command line has it.

        Raises
        ------
        SettingsError
            If there is no such file, it cannot be imported, or holds no such function.
        """
        file, _, name = text.rpartition(":")
        if not file.endswith(".py") or not name.isidentifier():
            raise SettingsError(f"{text!r} names no function.", expected="FILE.py:NAME, such as my_train.py:train")
        if not os.path.isfile(file):
            raise SettingsError(f"There is no file {file!r}.", expected="a Python file with the function")
        function = cls(file, name)
        function.load()
        return function

    def load(self) -> Callable[..., object]:
        """The function."""
        path = Path(self.file).resolve()
        # By the whole path: two files of one name are two modules.
        name = f"neurosleep_tuned_{hashlib.sha256(os.fsencode(path)).hexdigest()[:16]}"
        module = sys.modules.get(name) or _imported(path, name)
        function = getattr(module, self.name, None)
        if not callable(function):
            known = [name for name, one in vars(module).items() if inspect.isfunction(one) and name[0] != "_"]
            raise SettingsError(
                f"The file {self.file!r} has no function {self.name!r}.",
                expected="one of: " + (", ".join(known) or "none there"),
            )
        return function  # type: ignore[no-any-return]


Function = Callable[..., object] | FileFunction


def _imported(path: Path, name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise SettingsError(
            f"The file {str(path.name)!r} cannot be imported.", found=f"{type(error).__name__}: {error}"
        ) from error
    return module


def read_space(path: str | os.PathLike[str]) -> Table:
    """The search space in a TOML file: an entry for each argument.

    Raises
    ------
    SettingsError
        If the file is missing or is not TOML.
    """
    try:
        space: Table = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"The search space {str(path)!r} cannot be read.", found=error.strerror) from error
    except (ValueError, RecursionError) as error:
        raise SettingsError(
            f"The search space {str(path)!r} is not TOML.", found=f"{error}".splitlines()[0][:200]
        ) from error
    return space


@dataclass(frozen=True)
class _Space:
    """What a study asks of a space, and the arguments that it stands for."""

    parameters: tuple[Parameter, ...]
    fixed: PlainTable

    def start(self) -> PlainTable:
        return {p.name: p.start for p in self.parameters if p.start is not None}

    def arguments(self, values: Mapping[str, Any]) -> PlainTable:
        return self.fixed | {p.name: p.round(values[p.name]) for p in self.parameters}


def _space_of(table: Mapping[str, Any]) -> _Space:
    example = 'such as lr = { low = 0.001, high = 0.3, log = true } or optimiser = { choices = ["sgd", "adam"] }'
    if not isinstance(table, Mapping) or not table:
        raise SettingsError("The search space is empty.", expected="an entry for each argument", hint=example)
    fixed: PlainTable = {}
    parameters = []
    for key, entry in table.items():
        if not key.isidentifier() or key in (_SEED, _RECORD):
            reserved = "the search gives the seed itself" if key == _SEED else "names of arguments"
            raise SettingsError(f"The search space varies {key!r}.", expected=reserved, hint=example)
        check_entry(key, entry)
        check_plain(key, entry)
        if "value" in entry:
            fixed[key] = entry["value"]
            continue
        parameter = parameter_of(key, entry, start=entry.get("start"))
        check_start(key, parameter)
        parameters.append(parameter)
    if not parameters:
        raise SettingsError("The search space varies nothing.", expected="an entry that is no { value = ... }")
    return _Space(tuple(parameters), fixed)


@dataclass(frozen=True)
class _Call:
    """One call of the function."""

    arguments: PlainTable
    seed: int


@shows_progress
@surroundings_kept()
def tune_function(
    function: Function,
    space: Mapping[str, Any],
    *,
    out: str | os.PathLike[str] = "tuned",
    trials: int = 20,
    sampler: str = "tpe",
    seed: int = 0,
    seeds: int = 3,
    jobs: int = 1,
    resume: bool = False,
    force: bool = False,
    report: Report = lambda number, text: None,
    progress: ShowProgress = False,
) -> Found:
    """Search for the arguments with which ``function`` returns the largest number, and write them as TOML.

    Parameters
    ----------
    function:
        Takes the arguments of the space and ``seed`` by name, and returns a number, an accuracy say: the larger, the
        better. NaN or an infinite one counts as diverged, and the trial is given up.
    space:
        By name of the argument ``{"low", "high"}`` with ``log`` or ``int``, or ``{"choices"}``, both with ``start``, or
        ``{"value"}``; integers where both ends are.
    out:
        Folder of ``FILE.NAME.toml`` and of the trials.
    trials, sampler, seed, seeds:
        Finished trials at the end, those of earlier calls included; ``tpe``, ``cma-es`` or ``nsga2``, and its seed; how
        many seeds, 100 and following, a trial is averaged over.
    jobs:
        Trials side by side, in processes of one thread each, which import the function.
    resume, force:
        Go on with the search in ``out``; even if packages or the function's file have changed.
    report:
        Is told the progress of a trial by its number.
    progress:
        Whether to show how far it is (:func:`~neurosleep.show_progress`).

    Raises
    ------
    SettingsError
        If the space, the function or what it returns makes no sense; where it raises, with what it raised.
    MissingExtraError
        If Optuna is not installed.

    See Also
    --------
    tune : the settings of an experiment

    Examples
    --------
    >>> import tempfile
    >>> from neurosleep.experiments import tune_function
    >>> def train(lr, seed):
    ...     return 1 - (lr - 0.25) ** 2
    >>> with tempfile.TemporaryDirectory() as out:
    ...     found = tune_function(train, {"lr": {"low": 0.0, "high": 1.0, "start": 0.25}}, out=out, trials=3)
    >>> found["best"], found["validation"]["mean"]
    ({'lr': 0.25}, 1.0)
    """
    check_main_guard()
    check_seed(seed)
    check_count("--trials", trials)
    check_count("--jobs", jobs)
    check_count("--seeds", seeds, most=len(TUNING_SEEDS))
    searched = _space_of(space)
    check_sampler(sampler, searched.parameters)
    _check_arguments(function, searched)
    name, source = _described(function)
    out, file = Path(out), Path(out, f"{name}.toml")
    folder = file.with_suffix(".study")
    check_tree(folder, out)
    check_folder(folder, "choose another --out")
    if not resume and os.path.lexists(folder):
        raise RunFolderError(
            f"There is a search in {str(folder)!r} already.",
            hint="--resume goes on with it; --out names another folder",
        )
    tuning_seeds = TUNING_SEEDS[:seeds]
    header = {"function": name, "sampler": sampler, "seed": seed, "tuning_seeds": list(tuning_seeds)}
    present: Origin = {"versions": versions(), "data": source}
    identity = json.dumps(header | {"space": {key: dict(entry) for key, entry in space.items()}}, indent=2)
    changed = start_search(folder, out, identity, present, force=force)
    work: Work[float | None] = Work(
        partial(_open, folder, searched, sampler, seed),
        trials,
        tuning_seeds,
        False,
        lambda values, _, one: _Call(searched.arguments(values), one),
        partial(_compute, function),
        _count,
        lambda trial: folder / "runs" / f"trial{trial}",
        lambda value: f"{value:.4g}",
    )
    with contextlib.ExitStack() as stack:
        executor: Executor[float | None] | None = None
        if jobs > 1:
            executor = stack.enter_context(contextlib.closing(Processes(partial(_compute, function), jobs, report)))
        study = finish_trials(work, executor, report)
    return _finish(file, header | {"resumed_with": changed or None}, searched, space, study)


def _open(folder: Path, space: _Space, sampler: str, seed: int) -> Study:
    # Here, so that only a search needs Optuna.
    from neurosleep.experiments.tuning.study import Study

    return Study(folder, space, sampler, seed)


def _finish(file: Path, header: Table, searched: _Space, space: Mapping[str, Any], study: Study) -> Found:
    """Write what was found."""
    rows = table_of(study)
    values = [row for row in rows if row["accuracy"] is not None]
    if not values:
        raise SettingsError(
            f"None of {len(rows)} trials of {header['function']} gave a finite number.",
            hint="narrow the search space, or see what the function returns with one of its points",
        )
    best = max(values, key=lambda row: (row["accuracy"], -row["number"]))
    accuracies = study.trials()[best["number"]].user_attrs["accuracies"]
    validation, arguments = spread_of(accuracies), searched.arguments(best["values"])
    record = header | {
        "date": datetime.date.today().isoformat(),
        "trials": len(rows),
        "best_trial": best["number"],
        "value": {key: value for key, value in validation.items() if value is not None},
    }
    write_whole(file, _file_of(arguments, record, space))
    return {
        "file": str(file),
        "best": arguments,
        "validation": validation,
        "trials": len(rows),
        "table": rows,
        "importances": study.importances(),
    }


def _described(function: Function) -> tuple[str, str]:
    """Its name, which its files bear, and a checksum of the file that it stands in (of nothing where there is none)."""
    if isinstance(function, FileFunction):
        name, file = f"{Path(function.file).stem}.{function.name}", function.file
    else:
        name = getattr(function, "__name__", type(function).__name__).strip("<>")
        code = getattr(function, "__code__", None)
        file = "" if code is None else code.co_filename
    content = Path(file).read_bytes() if os.path.isfile(file) else b""
    return name, hashlib.sha256(content).hexdigest()


def _check_arguments(function: Function, space: _Space) -> None:
    called = function.load() if isinstance(function, FileFunction) else function
    if not callable(called):
        raise SettingsError(f"function is {called!r:.80}.", expected="a function")
    names = [*space.fixed, *(parameter.name for parameter in space.parameters), _SEED]
    try:
        signature = inspect.signature(called)
    except (ValueError, TypeError):  # a compiled one, of which nothing is known
        return
    try:
        signature.bind(**dict.fromkeys(names))
    except TypeError as error:
        raise SettingsError(
            "The function does not take what the search gives it.",
            found=f"{error}",
            expected="the arguments " + ", ".join(names),
            hint="the names in the search space are those of its arguments; seed is always given",
        ) from error


def _compute(function: Function, call: object, report: Callable[[str], None]) -> float | None:
    """What the function returns; None for a number that is not finite."""
    assert isinstance(call, _Call)
    report(f"seed {call.seed}")
    given = ", ".join(f"{key}={value!r}" for key, value in (call.arguments | {_SEED: call.seed}).items())
    called = function.load() if isinstance(function, FileFunction) else function
    try:
        returned = called(**call.arguments, seed=call.seed)
    except NeurosleepError:
        raise
    except Exception as error:
        frames = inspect.getinnerframes(error.__traceback__) if error.__traceback__ else []
        line = f", in line {frames[-1].lineno} of {Path(frames[-1].filename).name}" if frames else ""
        raise SettingsError(
            f"The function raised {type(error).__name__}: {error}{line}.",
            found=given,
            hint="mend it; --resume goes on with this trial (--force as well: its file is another then)",
        ) from error
    plain: object = returned
    with contextlib.suppress(ValueError, RuntimeError):  # a tensor or an array of one number is one too
        plain = returned.item() if hasattr(returned, "item") else returned
    if isinstance(plain, bool) or not isinstance(plain, int | float):
        raise SettingsError(
            f"The function returned {returned!r:.80}.", found=given, expected="a number: the larger, the better"
        )
    return number(plain)


def _count(outcome: Outcome[float | None]) -> float | None:
    if outcome.error is not None:
        raise outcome.error
    return outcome.value


def _file_of(arguments: PlainTable, record: Mapping[str, object], space: Mapping[str, Any]) -> str:
    rows = {_RECORD: record, f"{_RECORD}.space": space}
    lines = [
        f"# Arguments of {record['function']}, found by neurosleep tune; how: below.",
        *(f"{key} = {toml_value(value)}" for key, value in arguments.items()),
    ]
    for header, table in rows.items():
        lines += ["", f"[{header}]", *(f"{key} = {toml_value(v)}" for key, v in table.items() if v is not None)]
    return "\n".join([*lines, ""])
