"""Profiles by name or from a file; a file is taken whole or refused with everything that is wrong with it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from neurosleep._catalogue import profile_folder, profile_names
from neurosleep.errors import HardwareProfileError, SettingsError, unknown_name
from neurosleep.hardware.findings import Finding, printable
from neurosleep.hardware.profiles.profile import HardwareProfile, build_profile
from neurosleep.hardware.profiles.validate import validate

__all__ = ["REFUSED", "load_profile", "profile_folder", "profile_names"]

# Larger than any profile could be; a file is read no further.
_MOST_BYTES = 256 * 1024

_AKIDA = "Akida has no leaky integrate-and-fire neurons: it runs event-based quantised CNNs, one pass for each input"
_NORTHPOLE = "NorthPole has no membrane, spikes, delays or learning: it runs dense integer arithmetic, inference only"
# Chips that people ask for and that nothing here can be mapped onto.
REFUSED = {
    "akida": _AKIDA,
    "akida1": _AKIDA,
    "akida2": _AKIDA,
    "akd1000": _AKIDA,
    "northpole": _NORTHPOLE,
}


def load_profile(profile: str | Path) -> HardwareProfile:
    """Load a hardware profile and validate it.

    Parameters
    ----------
    profile:
        The name of a shipped profile, such as ``"loihi1"``, or a file: a path, or a string that ends in ``.toml`` or
        contains a separator of folders.

    Returns
    -------
    HardwareProfile
        Its ``findings`` are warnings, such as figures that nobody has verified.

    Raises
    ------
    HardwareProfileError
        If the file cannot be read, breaks the schema, or describes something that does not spike; it holds all
        findings, each with file, key and code.
    UnknownNameError
        If no shipped profile has that name.
    SettingsError
        If it is neither a string nor a path.

    See Also
    --------
    profile_names : the names
    neurosleep.map_to : puts a network on it

    Examples
    --------
    >>> load_profile("loihi1").weights.bits
    8
    """
    if not isinstance(profile, (str, Path)):
        raise SettingsError(
            f"A hardware profile is named or a file, not {type(profile).__name__}.", expected="a str or a pathlib.Path"
        )
    if isinstance(profile, Path) or profile.endswith(".toml") or "/" in profile or "\\" in profile:
        return _load_file(Path(profile))
    if profile.lower() in REFUSED:
        text = f"{profile.lower()!r} is not a spiking target; there is nothing to map"
        raise _error((Finding("HP030", profile, "", text),), hint=REFUSED[profile.lower()])
    names = profile_names()
    if profile not in names:
        raise unknown_name("hardware profile", printable(profile), names)
    return _load_file(profile_folder() / f"{profile}.toml")


def _load_file(path: Path) -> HardwareProfile:
    file = str(path)
    if path.parent == profile_folder():
        file = path.name  # a shipped one: where it is installed is nobody's concern
    raw = _parse(_read(path, file), file)
    findings, sources = validate(raw, file, stem=path.stem)
    if any(finding.level == "error" for finding in findings):
        raise _error(tuple(findings))
    if duplicate := _duplicate(path, raw, file):
        findings.append(duplicate)
    return build_profile(raw, sources.defined, sources.figures, tuple(findings), file)


def _read(path: Path, file: str) -> str:
    try:
        if path.exists() and not path.is_file():  # a folder, or a device that never ends
            raise _unreadable(file, "not a file")
        with path.open("rb") as stream:
            content = stream.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            raise _unreadable(file, f"larger than {_MOST_BYTES // 1024} KiB, which no profile is")
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _unreadable(file, f"not UTF-8 text (byte {error.start})") from error
    except (OSError, RuntimeError, ValueError) as error:  # RuntimeError: a loop of symbolic links, in older Pythons
        if isinstance(error, HardwareProfileError):
            raise
        reason = getattr(error, "strerror", None) or str(error)
        raise _unreadable(file, f"cannot be read: {reason}") from error


def _parse(text: str, file: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text.removeprefix("\ufeff"))
    except RecursionError as error:
        raise _unreadable(file, "not valid TOML: nested too deeply") from error
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"at line (\d+), column \d+", str(error))
        number = int(line[1]) if line else text.count("\n") + 1  # else: at the end
        what = printable(re.sub(r" \(at [^()]*\)$", "", str(error)))
        raise _unreadable(file, f"not valid TOML: line {number}: {what}") from error
    except ValueError as error:  # a number that Python does not read
        raise _unreadable(file, f"not valid TOML: {printable(str(error))}") from error


def _duplicate(path: Path, raw: dict[str, Any], file: str) -> Finding | None:
    """A warning where a file of one's own bears a shipped profile's id and says something else."""
    name = raw["profile"]["id"]
    shipped = profile_folder() / f"{name}.toml"
    if name not in profile_names() or path.resolve() == shipped.resolve():
        return None
    if tomllib.loads(shipped.read_text(encoding="utf-8")) == raw:
        return None
    text = f"a shipped profile is named {name!r} too, and differs"
    return Finding("HP019", file, "profile.id", text, level="warning")


def _unreadable(file: str, message: str) -> HardwareProfileError:
    return _error((Finding("HP001", file, "", message),))


def _error(findings: tuple[Finding, ...], hint: str | None = None) -> HardwareProfileError:
    errors = [finding for finding in findings if finding.level == "error"]
    return HardwareProfileError("\n".join(map(str, errors)), findings=findings, hint=hint)
