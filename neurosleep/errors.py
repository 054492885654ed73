"""The errors a user can meet: each says what was given, what was expected and what to do next.

Every class here is a usage error, which the user can mend: one message of the command line, and exit code 2. Anything
else that escapes is an internal error (exit code 1).
"""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Iterable, Sequence
from typing import Any

__all__ = [
    "ConversionError",
    "DataError",
    "DeviceMemoryError",
    "ExchangeError",
    "HardwareProfileError",
    "MappingError",
    "MissingExtraError",
    "NeurosleepError",
    "NeurosleepWarning",
    "RunFolderError",
    "RunsFailedError",
    "SettingsError",
    "UnknownNameError",
    "UnsupportedError",
    "all_missing",
    "missing_extra",
    "shorten_warnings",
    "unknown_name",
]

# Of more names than these only the nearest are listed, those that are like the one given at all.
_FEW, _NEAREST, _LIKE = 20, 5, 0.3


class NeurosleepError(ValueError):
    """A usage error: the base of all errors of this package.

    Parameters
    ----------
    message:
        One sentence: what is wrong, with the value that was given.
    found, expected:
        What was given and what would have been right, where the message alone does not say it.
    hint:
        What to do next.

    See Also
    --------
    SettingsError, DataError, UnsupportedError, UnknownNameError : the commonest of them

    Examples
    --------
    >>> import neurosleep as ns
    >>> try:
    ...     ns.load_profile("loihi3")
    ... except ns.NeurosleepError as error:
    ...     print(f"{error.message} Well: {error.hint}")
    There is no hardware profile named 'loihi3'. Well: did you mean 'loihi2'?
    """

    def __init__(
        self, message: str, *, found: str | None = None, expected: str | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message, found, expected, hint)
        self.message = message
        self.found = found
        self.expected = expected
        self.hint = hint

    def __reduce__(self) -> tuple[object, ...]:
        # Errors travel from worker processes to the parent, so keyword-only arguments must survive pickling.
        return (_rebuild, (type(self), self.message, self.found, self.expected, self.hint))

    def __str__(self) -> str:
        rows = [("Found", self.found), ("Expected", self.expected), ("Try", self.hint)]
        if isinstance(self, UnknownNameError):  # what is meant is found faster in one name than among all
            rows.reverse()
        return "\n".join([self.message] + [f"  {label + ':':<9} {text}" for label, text in rows if text])


class NeurosleepWarning(UserWarning):
    """Something was done, but did nothing, not all that was asked, or harm: the text says what, with the numbers.

    See Also
    --------
    shorten_warnings : prints them in one line

    Examples
    --------
    >>> import warnings
    >>> import neurosleep as ns
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("error", ns.NeurosleepWarning)  # stop where a verb did nothing, or harm
    """


def _rebuild(
    kind: type[NeurosleepError], message: str, found: str | None, expected: str | None, hint: str | None
) -> NeurosleepError:
    return kind(message, found=found, expected=expected, hint=hint)


class DataError(NeurosleepError):
    """A data set, data file or array cannot be used.

    See Also
    --------
    neurosleep.load_dataset : one of many that raise it

    Examples
    --------
    >>> import neurosleep as ns
    >>> try:
    ...     ns.load_dataset("mnist", root="no/such/folder")
    ... except ns.DataError as error:
    ...     print(str(error).splitlines()[0])
    The given data folder does not exist.
    """


class DeviceMemoryError(NeurosleepError):
    """A device has too little memory for the work, even in the smallest pieces.

    See Also
    --------
    neurosleep.simulate : which goes on with a smaller batch first

    Examples
    --------
    >>> from neurosleep.errors import DeviceMemoryError
    >>> print(DeviceMemoryError("256 networks need about 90,000 MiB on the device 'cuda'.", found="81,000 MiB free"))
    256 networks need about 90,000 MiB on the device 'cuda'.
      Found:    81,000 MiB free
    """


class SettingsError(NeurosleepError):
    """A setting, option or argument has a value that makes no sense.

    See Also
    --------
    UnknownNameError : for a name that does not exist

    Examples
    --------
    >>> import neurosleep as ns
    >>> try:
    ...     ns.SRCRule(inc=-1.0, dec=0.0)
    ... except ns.SettingsError as error:
    ...     print(error)
    The rule's inc is -1.0.
      Expected: a number >= 0
    """


class UnknownNameError(SettingsError):
    """A name (experiment, strategy, key, engine, …) does not exist.

    See Also
    --------
    unknown_name : makes one

    Examples
    --------
    >>> import neurosleep as ns
    >>> try:
    ...     ns.load_dataset("minst")
    ... except ns.UnknownNameError as error:
    ...     print(error.hint)
    did you mean 'mnist'?
    """


class UnsupportedError(NeurosleepError):
    """Something valid in itself cannot be done by the part that was asked.

    See Also
    --------
    neurosleep.spiking.get_engine : engines raise it for what they cannot step

    Examples
    --------
    >>> import neurosleep as ns
    >>> try:
    ...     ns.hardware.chip_rule("xylo_a2", ns.SRCRule(inc=0.01, dec=0.001))
    ... except ns.UnsupportedError as error:
    ...     print(error.message)
    The sleep's rule cannot run on 'xylo_a2', which changes no weights.
    """


class ConversionError(NeurosleepError):
    """A network cannot be turned into a spiking network, or back.

    Parameters
    ----------
    layer, operation:
        What stands in the way: its place in the model, and the class of the layer or the name of the function.

    See Also
    --------
    neurosleep.convert : which raises it

    Examples
    --------
    >>> import torch
    >>> import neurosleep as ns
    >>> try:
    ...     ns.convert(torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Tanh()), torch.rand(5, 4))
    ... except ns.ConversionError as error:
    ...     print(error.layer, error.operation)
    1 Tanh
    """

    def __init__(
        self,
        message: str,
        *,
        layer: str | None = None,
        operation: str | None = None,
        found: str | None = None,
        expected: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, found=found, expected=expected, hint=hint)
        self.layer, self.operation = layer, operation

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.message, self.found, self.expected, self.hint), vars(self)


class ExchangeError(NeurosleepError):
    """A file of a network, or another tool's network, cannot be read or written.

    See Also
    --------
    neurosleep.load : which raises it

    Examples
    --------
    >>> import neurosleep as ns
    >>> try:
    ...     ns.load("no-such-file.nir")
    ... except ns.ExchangeError as error:
    ...     print(type(error).__name__)
    ExchangeError
    """


class _FindingsError(NeurosleepError):
    """An error that says everything at once: ``findings`` holds it."""

    def __init__(
        self,
        message: str,
        *,
        findings: tuple[Any, ...] = (),
        found: str | None = None,
        expected: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, found=found, expected=expected, hint=hint)
        self.findings = findings

    def __reduce__(self) -> tuple[object, ...]:
        return (*super().__reduce__(), {"findings": self.findings})


class HardwareProfileError(_FindingsError):
    """A hardware profile's file cannot be read or breaks the schema; ``findings`` holds all that is wrong with it.

    See Also
    --------
    neurosleep.load_profile : which raises it

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import neurosleep as ns
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "mine.toml")
    ...     _ = path.write_text("schema_version = 1")
    ...     try:
    ...         ns.load_profile(path)
    ...     except ns.HardwareProfileError as error:
    ...         print(error.findings[0].code)
    HP004
    """


class MappingError(_FindingsError):
    """A network does not fit a chip; ``findings`` holds everything that does not, by layer, limit, need and supply.

    See Also
    --------
    neurosleep.map_to : which raises it
    neurosleep.hardware.MappingFinding : each of its ``findings``

    Examples
    --------
    >>> import torch
    >>> import neurosleep as ns
    >>> model, images = torch.nn.Sequential(torch.nn.Linear(16, 300, bias=False)), torch.rand(5, 16)
    >>> try:
    ...     ns.map_to(ns.convert(model, images), "odin")
    ... except ns.MappingError as error:
    ...     print(error.findings[0].layer)
    input
    """


class RunFolderError(NeurosleepError):
    """An output folder cannot be used: it exists already, is locked, broken or cannot be written.

    See Also
    --------
    neurosleep.experiments.RunFolder : a run's folder

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import neurosleep as ns
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Path(folder, "taken").touch()
    ...     try:
    ...         ns.plot.save(ns.plot.figure(), f"{folder}/taken/a.png")
    ...     except ns.RunFolderError as error:
    ...         print(type(error).__name__)
    RunFolderError
    """


class RunsFailedError(NeurosleepError):
    """Some runs of several have failed, and the others are done.

    Parameters
    ----------
    failures:
        For each run that failed what it was and the error that it ended with.
    runs:
        The metrics of the others.

    See Also
    --------
    neurosleep.experiments.run_experiment : which raises it, after the other runs

    Examples
    --------
    >>> import neurosleep as ns
    >>> error = ns.RunsFailedError("1 of 2 runs failed.", failures=[({"seed": 1}, ns.DataError("No such file."))])
    >>> [(run["seed"], str(reason)) for run, reason in error.failures], error.internal
    ([(1, 'No such file.')], None)
    """

    def __init__(
        self,
        message: str,
        *,
        failures: Sequence[tuple[Any, Exception]] = (),
        runs: Sequence[Any] = (),
        found: str | None = None,
        expected: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, found=found, expected=expected, hint=hint)
        self.failures = tuple(failures)
        self.runs = list(runs)

    @property
    def internal(self) -> Exception | None:
        """The first internal error, if there is one."""
        return next((error for _, error in self.failures if not isinstance(error, NeurosleepError)), None)

    def __reduce__(self) -> tuple[object, ...]:
        return (*super().__reduce__(), {"failures": self.failures, "runs": self.runs})


class MissingExtraError(NeurosleepError):
    """An optional dependency is needed and not installed.

    See Also
    --------
    missing_extra : makes one

    Examples
    --------
    >>> import neurosleep as ns
    >>> try:
    ...     raise ns.errors.missing_extra("scipy", "features", "Reading a .mat file")
    ... except ns.MissingExtraError as error:
    ...     print(error.hint)
    pip install "neurosleep[features]"
    """

    #: Names of the extras of the package that bring what is missing.
    extras: tuple[str, ...] = ()


def unknown_name(kind: str, given: str, known: Iterable[str]) -> UnknownNameError:
    """The error for a name that does not exist; it names those that do, where they are many the nearest.

    See Also
    --------
    UnknownNameError : what it makes

    Examples
    --------
    >>> from neurosleep.errors import unknown_name
    >>> print(unknown_name("strategy", "scr", ["src", "joint"]))
    There is no strategy named 'scr'.
      Try:      did you mean 'src'?
      Expected: one of: joint, src
    """
    names = sorted(known)
    shown = str(given)[:200]  # a name may be anything that a file holds, and as long
    nearest = difflib.get_close_matches(shown, names, n=_NEAREST, cutoff=_LIKE)
    some = "nearest: " + ", ".join(nearest) if nearest else "such as: " + ", ".join(names[:_NEAREST])
    expected = f"one of: {', '.join(names)}" if len(names) <= _FEW else f"one of {len(names)}; {some}"
    hint = f"did you mean {close[0]!r}?" if (close := difflib.get_close_matches(shown, nearest, n=1)) else None
    return UnknownNameError(f"There is no {kind} named {given!r:.200}.", expected=expected, hint=hint)


def missing_extra(module: str, extra: str, purpose: str) -> MissingExtraError:
    """The error for an optional dependency that is not installed, with the exact command that installs it.

    See Also
    --------
    MissingExtraError : what it makes

    Examples
    --------
    >>> from neurosleep.errors import missing_extra
    >>> print(missing_extra("scipy", "features", "Reading a .mat file"))
    Reading a .mat file needs the package 'scipy', which is not installed.
      Try:      pip install "neurosleep[features]"
    """
    error = MissingExtraError(
        f"{purpose} needs the package {module!r}, which is not installed.",
        hint=f'pip install "neurosleep[{extra}]"',
    )
    error.extras = (extra,)
    return error


def all_missing(errors: Sequence[MissingExtraError]) -> MissingExtraError:
    """One error for several: all that they miss, and one command that installs it.

    See Also
    --------
    missing_extra : makes each

    Examples
    --------
    >>> from neurosleep.errors import all_missing, missing_extra
    >>> errors = [missing_extra(name, name, f"Reading .{name}") for name in ("nir", "onnx", "nir")]
    >>> print(all_missing(errors).hint)
    pip install "neurosleep[nir,onnx]"
    """
    extras = tuple(dict.fromkeys(extra for error in errors for extra in error.extras))
    together = MissingExtraError(
        " ".join(dict.fromkeys(error.message for error in errors)),
        hint=f'pip install "neurosleep[{",".join(extras)}]"',
    )
    together.extras = extras
    return together


def shorten_warnings() -> None:
    """From here on, what a command warns its user of is one line, without the file and the line of code it comes from.

    Warnings to programmers, such as deprecations, keep them.

    See Also
    --------
    NeurosleepWarning : those that it concerns

    Examples
    --------
    >>> import warnings
    >>> from neurosleep.errors import shorten_warnings
    >>> usual = warnings.formatwarning
    >>> shorten_warnings()
    >>> print(warnings.formatwarning("nothing fired", UserWarning, "run.py", 7), end="")
    Warning: nothing fired
    >>> warnings.formatwarning = usual
    """
    usual = warnings.formatwarning

    def formatted(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> str:
        return (
            f"Warning: {message}\n" if issubclass(category, UserWarning) else usual(message, category, *where, **more)
        )

    warnings.formatwarning = formatted
