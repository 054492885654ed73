"""Docstrings for the documentation: numpydoc and its roles become the Markdown that MkDocs renders.

An extension of Griffe, which mkdocstrings loads (mkdocs.yml). Sections become definition lists, ``:func:`` and its like
links to where the room's page shows the object (plain code where no page does), ``:math:`` and ``.. math::`` formulas.
Types are left to the signature.
"""

from __future__ import annotations

import ast
import re
import textwrap
from functools import cache
from pathlib import Path
from typing import Any

import griffe

ROOT = Path(__file__).parents[1]
SECTIONS = ("Parameters", "Attributes", "Returns", "Yields", "Raises", "Notes", "References", "See Also", "Examples")
LISTS = ("Parameters", "Attributes", "Raises")
_ROLE = re.compile(r":(?:func|class|meth|mod|data|attr|exc):`(~?)([^`]+)`")
_MATH_BLOCK = re.compile(r"^( *)\.\. math::(.*)\n((?:\1 +.*\n|\s*\n(?=\1 +))*)", flags=re.MULTILINE)


@cache
def pages() -> dict[str, str]:
    """Where each public name is shown: its own name, and ``room.name``, to its path on the page of its room."""
    found: dict[str, str] = {}
    for file in [*sorted((ROOT / "neurosleep").glob("*/__init__.py")), ROOT / "neurosleep" / "errors.py"]:
        room = "neurosleep." + (file.stem if file.stem != "__init__" else file.parent.name)
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
                for name in ast.literal_eval(node.value):
                    found.setdefault(name, f"{room}.{name}")
                    found[f"{room}.{name}"] = f"{room}.{name}"
                    found.setdefault(f"neurosleep.{name}", f"{room}.{name}")
        found[room] = room
    return found


def link(target: str, short: bool, room: str) -> str:
    """Markdown for a role's target: a link if a page shows it, else its name as code; the own room comes first."""
    name = target.rsplit(".", 1)[-1] if short else target
    known = pages()
    owner = target.rpartition(".")[0]
    for found in (f"{room}.{target}", target):
        if found in known:
            return f"[`{name}`][{known[found]}]"
    for found in (f"{room}.{owner}", owner):
        # A method: the class is known, and its page has it.
        if found in known and known[found].rsplit(".", 1)[-1][:1].isupper():
            return f"[`{name}`][{known[found]}]"
    return f"`{name}`"


def markdown(text: str, room: str = "") -> str:
    """One docstring as Markdown; ``room`` is the one that it stands in, such as ``neurosleep.plot``."""
    text = _MATH_BLOCK.sub(_formula, text + "\n")
    text = re.sub(r":math:`([^`]+)`", lambda m: rf"\({' '.join(m[1].split())}\)", text)
    text = _ROLE.sub(lambda m: link(m[2].removesuffix("()"), bool(m[1]), room), text)
    text = re.sub(r"(?m)(?<=\w)::$", ":", text)
    text = re.sub(r"(?m)^>>> .*\n(?:.+\n)*", lambda m: f"```pycon\n{m[0]}```\n", text)
    parts = re.split(rf"(?m)^({'|'.join(SECTIONS)})\n-+\n", text)
    made = [parts[0].strip()]
    for title, body in zip(parts[1::2], parts[2::2], strict=True):
        made.append(f"**{title}**\n\n{_section(title, body, room)}")
    return "\n\n".join(part for part in made if part) + "\n"


def _formula(match: re.Match[str]) -> str:
    body = " ".join(f"{match[2]} {match[3]}".split())
    return f"\n{match[1]}\\[ {body} \\]\n\n"


def _section(title: str, body: str, room: str) -> str:
    body = body.strip("\n")
    if title in LISTS:
        return _definitions(body, room, linked=title == "Raises")
    if title == "See Also":
        return "\n".join(f"- {_also(line, room)}" for line in body.splitlines() if line.strip())
    # Names with an indented text, as of several things that are returned.
    if re.search(r"(?m)^\S.*\n {4}\S", body) and not re.search(r"(?m)^\S.*\n\S", body):
        return _definitions(body, room, linked=True)
    return body


def _also(line: str, room: str) -> str:
    names, colon, text = line.partition(" : ")
    links = ", ".join(link(name.strip(), False, room) for name in names.split(","))
    return f"{links}{': ' if colon else ''}{text}"


def _definitions(body: str, room: str, *, linked: bool) -> str:
    """``name, other:`` with an indented text, as a definition list; types are links, names of parameters are not."""
    entries: list[tuple[str, list[str]]] = []
    for line in body.splitlines():
        if line and not line.startswith(" "):
            entries.append((line.rstrip(":"), []))
        elif entries:
            entries[-1][1].append(line)
    made = []
    for names, lines in entries:
        text = textwrap.dedent("\n".join(lines)).strip()
        parts = [name.strip(" `") for name in names.split(",")]
        head = ", ".join(link(name, False, room) if linked else f"`{name}`" for name in parts)
        made.append(f"{head}\n:   " + textwrap.indent(text, "    ").strip())
    return "\n\n".join(made)


def _room(obj: griffe.Object) -> str:
    return ".".join(obj.path.split(".")[:2])


def comment_before(obj: griffe.Attribute) -> str:
    """What is said of a constant: the comment above it, or what its value shows."""
    lines = obj.lines_collection[obj.filepath] if isinstance(obj.filepath, Path) else []
    above: list[str] = []
    for line in reversed(lines[: (obj.lineno or 1) - 1]):
        if not line.startswith("#"):
            break
        above.insert(0, line.lstrip("#: "))
    if above:
        return markdown(" ".join(above), _room(obj)).strip()
    value = str(obj.value or "")
    if value.startswith("Literal["):
        return f"One of {', '.join(f'`{name}`' for name in re.findall(r'[^, ]+', value[8:-1]))}."
    if value.startswith("get_args("):
        return f"The names of {link(value[9:-1], False, _room(obj))}, in a tuple."
    if value.startswith(("'", '"')):
        return f"The text {value}."
    return "By name." if value.startswith("{") else "A constant."


class Docstrings(griffe.Extension):
    """Rewrites every docstring as it is loaded, and gives public constants one."""

    def on_instance(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Called for every module, class, function and attribute."""
        if obj.docstring is None and isinstance(obj, griffe.Attribute) and obj.parent and obj.parent.is_module:
            if obj.name in pages():
                obj.docstring = griffe.Docstring(comment_before(obj), parent=obj)
        elif obj.docstring is not None:
            obj.docstring.value = markdown(obj.docstring.value, _room(obj))
