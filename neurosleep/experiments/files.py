"""The experiment files: the packaged ones by name, the user's own by path, as the tables that they hold."""

from __future__ import annotations

import copy
import tomllib
from functools import cache
from importlib import resources
from pathlib import Path

from neurosleep._catalogue import experiment_names
from neurosleep.errors import SettingsError, unknown_name
from neurosleep.experiments.experiment import Table

__all__ = ["check_plain", "experiment_names", "read_experiment"]

# In bytes; the packaged ones have some thousand.
_LARGEST_FILE = 1 << 22
# How deep tables and lists of a file may be nested, and the numbers in it beside 0: what float32 holds in full.
_DEEPEST = 20
_SMALLEST_NUMBER, _LARGEST_NUMBER = 1.2e-38, 3.4e38


def read_experiment(experiment: str) -> tuple[str, Table]:
    """Name of an experiment and all that its file holds, unchecked; a file that it extends is found from its folder.

    Raises
    ------
    SettingsError
        If there is no such experiment, or its file cannot be read or is not TOML.
    """
    if not experiment.endswith(".toml"):
        if experiment not in experiment_names():
            raise unknown_name("experiment", experiment, experiment_names())
        return experiment, copy.deepcopy(_packaged(experiment))
    path = Path(experiment)
    content = _parsed(experiment, _text_of(path))
    extended = content.get("extends")
    if isinstance(extended, str) and extended.endswith(".toml"):
        content["extends"] = str(path.parent / extended)
    return path.stem, content


# They do not change while a program runs, and tables of results ask for them thousands of times.
@cache
def _packaged(experiment: str) -> Table:
    source = resources.files("neurosleep") / "experiments" / "published" / f"{experiment}.toml"
    return _parsed(experiment, source.read_text(encoding="utf-8"))


def _parsed(experiment: str, text: str) -> Table:
    try:
        content = tomllib.loads(text)
        for key, value in content.items():
            check_plain(key, value)
    except SettingsError:
        raise
    # ValueError also where a number has thousands of digits, RecursionError where lists are nested as deep.
    except (ValueError, RecursionError) as error:
        raise SettingsError(
            f"The experiment file {experiment!r:.200} is not TOML.", found=f"{error}".splitlines()[0][:200]
        ) from error
    return content


def check_plain(path: str, value: object) -> None:
    """Refuse what no setting is: dates, numbers that nothing is computed with, texts that end early, endless nesting.

    Without recursion, since what is nested thousands deep is met here first.
    """
    rest: list[tuple[str, object, int]] = [(path, value, 0)]
    while rest:
        at, entry, depth = rest.pop()
        if depth > _DEEPEST:
            raise SettingsError(f"{path:.200} is nested too deep.", expected=f"at most {_DEEPEST} levels")
        if isinstance(entry, dict):
            rest += [(f"{at}.{key}", inner, depth + 1) for key, inner in entry.items()]
        elif isinstance(entry, list | tuple):
            rest += [(at, inner, depth + 1) for inner in entry]
        elif isinstance(entry, bool) or entry is None:
            continue
        elif isinstance(entry, int) and abs(entry) >= 1 << 63:
            raise SettingsError(f"{at:.200} holds a number of {entry.bit_length()} bits.", expected="at most 63")
        elif isinstance(entry, float) and not (entry == 0 or _SMALLEST_NUMBER <= abs(entry) <= _LARGEST_NUMBER):
            raise SettingsError(
                f"{at:.200} holds {entry!r}.",
                expected=f"0, or a finite number from {_SMALLEST_NUMBER:g} to {_LARGEST_NUMBER:g}, which float32 holds",
            )
        elif isinstance(entry, str) and "\0" in entry:
            raise SettingsError(f"{at:.200} holds the text {entry!r:.80}.", expected="a text without NUL")
        elif not isinstance(entry, int | float | str):
            raise SettingsError(f"{at:.200} holds {entry!s:.80}.", expected="numbers, texts, true or false")


def _text_of(path: Path) -> str:
    """The text of a user's file, in UTF-8 with or without a byte order mark."""
    try:
        if not path.is_file():
            raise SettingsError(
                f"There is no experiment file {str(path)!r:.200}.", hint="neurosleep list names the packaged ones"
            )
        if path.stat().st_size > _LARGEST_FILE:
            raise SettingsError(f"{str(path)!r:.200} is no experiment file.", found=f"{path.stat().st_size} bytes")
        return path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise SettingsError(
            f"The experiment file {str(path)!r:.200} cannot be read.", found=str(error), expected="TOML in UTF-8"
        ) from error
    except (OSError, ValueError) as error:
        if isinstance(error, SettingsError):
            raise
        reason = getattr(error, "strerror", None) or str(error)
        raise SettingsError(f"The experiment file {str(path)!r:.200} cannot be read.", found=reason) from error
