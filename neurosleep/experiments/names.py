"""Names that become folders: of experiments, variants and strategies, which may come from somebody else's file."""

from __future__ import annotations

from pathlib import PureWindowsPath

from neurosleep.errors import SettingsError

__all__ = ["LONGEST_NAME", "folder_name"]

#: In bytes of UTF-8. File systems take 255, of which temporary names and endings need some.
LONGEST_NAME = 200


def folder_name(kind: str, name: object, *, levels: bool = False) -> str:
    """``name``, if it can name a folder below another one, on any system; ``kind`` says in the error what it names.

    Parameters
    ----------
    kind:
        Such as ``"variant"``.
    name:
        A text without path separators, unprintable characters and a leading dot; at most ``LONGEST_NAME`` bytes.
    levels:
        Whether it may have several levels, each of them such a text, as in ``"src2022/mnist"``.

    Raises
    ------
    SettingsError
        If it cannot: it might lead to another place than the output folder.

    >>> folder_name("variant", "lr=0.1,steps=300")
    'lr=0.1,steps=300'
    """
    parts = name.split("/") if isinstance(name, str) and levels else [name]
    if not all(isinstance(part, str) and _sound(part) for part in parts):
        raise SettingsError(
            f"The {kind} {name!r:.80} cannot name a folder.",
            expected=f"1 to {LONGEST_NAME} bytes of text without / and \\, control characters and a leading dot",
            hint=f"give the {kind} another name",
        )
    return str(name)


def _sound(part: str) -> bool:
    return (
        part.isprintable()
        and 0 < len(part.encode()) <= LONGEST_NAME
        and not part.startswith(".")
        and not set(part) & {"/", "\\"}
        and not PureWindowsPath(part).drive
    )
