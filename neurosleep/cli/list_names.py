"""``neurosleep list``: what there is."""

from __future__ import annotations

import json
from textwrap import shorten
from typing import Annotated

import typer

from neurosleep._catalogue import KINDS, Entry, catalogue
from neurosleep.cli._text import print_table, say
from neurosleep.cli.errors import user_errors
from neurosleep.cli.options import Json

__all__ = ["list_names"]

# Of a description: two lines of a terminal.
_LONGEST = 150


def list_names(
    kind: Annotated[
        str | None,
        typer.Argument(
            metavar="[KIND]", help=f"One of {', '.join(KINDS)}, with a line on each.", autocompletion=lambda: [*KINDS]
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Name the experiments, strategies, engines, rules, profiles and data sets there are."""
    with user_errors(as_json):
        entries = {one: catalogue(one) for one in (KINDS if kind is None else (kind,))}
        if as_json and kind is None:
            print(json.dumps({one: [entry.name for entry in entries[one]] for one in entries}))
        elif as_json:
            print(json.dumps({one: [vars(entry) for entry in entries[one]] for one in entries}))
        elif kind is None:
            for one, things in entries.items():
                say(f"{one.capitalize()} ({len(things)})", verdict="title")
                say(", ".join(entry.name for entry in things), indent=2)
            say("neurosleep list KIND says a line on each: " + ", ".join(KINDS))
        elif kind == "experiments":
            _show_experiments(entries[kind])
        else:
            print_table(kind.capitalize(), ("name", "what it is"), [(one.name, one.text) for one in entries[kind]])


def _show_experiments(experiments: tuple[Entry, ...]) -> None:
    """Some lines each, since names may not be broken: how long it takes and what is published, what it is."""
    for one in experiments:
        known = [] if one.minutes is None else [f"{one.minutes:.2g} min a run"]
        # The figure that the experiment is about, of those that a paper has; --json has all.
        shown = next((name for name in ("src", *(one.published or ())) if name in (one.published or {})), None)
        known += [f"published: {shown} {one.published[shown]:g} %"] if shown and one.published else []
        say("  ".join([one.name, *known]), verdict="title")
        say(shorten(one.text.partition(";")[0], _LONGEST, placeholder=" …"), indent=4)
    say("Minutes are those of one processor. neurosleep run NAME runs one.")
