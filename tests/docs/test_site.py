"""What the documentation is made with: docstrings as Markdown, formulas as MathML, pages, and the look at the site."""

from __future__ import annotations

import doctest
import importlib
import importlib.util
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from types import ModuleType

import pytest

import neurosleep as ns
from neurosleep.experiments import experiment_names

ROOT = Path(__file__).parents[2]
pytest.importorskip("mkdocs")
pytest.importorskip("latex2mathml")


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


DOCSTRING = """Do something to `it`.

With :math:`x_i` and

.. math::
    y = \\frac{1}{2}
        + x

Parameters
----------
first, second:
    What :func:`~neurosleep.sleep` takes, ``[n]``;
    see :meth:`Backprop.fit` and :func:`nothing.known`.
third:
    Seconds.

Returns
-------
A number.

Raises
------
SettingsError
    If it is none.

Examples
--------
>>> 1 + 1
2
"""


def test_a_docstring_becomes_markdown() -> None:
    made = load("docs_docstrings").markdown(DOCSTRING)
    assert r"With \(x_i\) and" in made and r"\[ y = \frac{1}{2} + x \]" in made
    assert "**Parameters**\n\n`first`, `second`\n:   What [`sleep`][neurosleep.replay.sleep] takes, ``[n]``;" in made
    assert "[`Backprop.fit`][neurosleep.learning.Backprop] and `nothing.known`." in made
    assert "`third`\n:   Seconds." in made and "**Returns**\n\nA number." in made
    assert "[`SettingsError`][neurosleep.errors.SettingsError]\n:   If it is none." in made
    assert "```pycon\n>>> 1 + 1\n2\n```" in made
    plot = load("docs_docstrings").markdown(
        ":func:`settling`.\n\nParameters\n----------\naccuracy:\n    x\n", "neurosleep.plot"
    )
    assert "[`settling`][neurosleep.plot.settling]" in plot and "`accuracy`\n:   x" in plot
    assert ":func:" not in made and ".. math::" not in made and "----" not in made


def test_every_public_name_has_a_place() -> None:
    pages = load("docs_docstrings").pages()
    for name, room in ns._PUBLIC.items():
        assert pages[f"{room}.{name}"] == f"{room}.{name}"


@pytest.mark.parametrize(
    "tex",
    [
        r"v \leftarrow v_{leak} + a (v - v_{leak}) + I",
        r"\frac{1}{2\beta} \sum_{b=1}^{B} w_{jb}",
        r"\min(1, 2\,dt\,r_{max})",
    ],
)
def test_a_formula_becomes_mathml(tex: str) -> None:
    made = load("docs_hooks").mathml(tex, block=True)
    root = ElementTree.fromstring(made)
    assert root.tag.endswith("math") and root.attrib["display"] == "block"
    assert "\\" not in "".join(root.itertext())


def test_words_in_formulas_stand_upright_and_letters_do_not() -> None:
    made = load("docs_hooks").mathml(r"v_{leak} + w_{ji}", block=False)
    assert "<mi>l</mi><mi>e</mi>" not in made and "leak" in re.sub(r"<[^>]*>", "", made)
    assert "<mi>j</mi><mi>i</mi>" in made


def test_the_page_of_commands_names_every_command_and_option() -> None:
    page = load("docs_pages").command_line()
    for name in ("run", "tune", "convert", "map", "cite", "demo"):
        assert f"\n## neurosleep {name}\n" in page
    assert (
        "| `--seeds` | `1` |" in page
        and "| `--seed` | `0` |" in page
        and "| `--resume` |  |" in page
        and "| `EXPERIMENT` | required |" in page
    )


def test_the_page_of_names_links_to_every_room() -> None:
    page = load("docs_pages").names()
    assert all(f"[`{name}`][{room}.{name}]" in page for name, room in ns._PUBLIC.items())


def test_every_setting_and_every_experiment_is_told_of() -> None:
    tool = load("docs_settings")
    silent = [path for path, *_ in tool.paths() if not tool.meaning(path)]
    assert silent == [], "say what they mean in the class that takes them, or in tools/docs_settings.py"
    page = tool.settings_page()
    assert "| `sleep.steps` | int | `15000` | Steps of the sleep after task k" in page
    assert "| `wake.beta` | float | `0.1` | Strength of the nudge, not 0." in page and "Only `ep`" in page
    assert not [path for path in tool.SAID if path not in {known for known, *_ in tool.paths()}], (
        "settings that are no more"
    )
    runs = tool.experiments_page()
    assert all(f"| `{name}` | " in runs for name in experiment_names())


def test_a_site_with_faults_is_found_out(tmp_path: Path) -> None:
    tool = load("check_site")
    ids = "".join(f'<p id="{name}"></p>' for name in tool.public_names())
    (tmp_path / "index.html").write_text(f'<a href="other.html#here">x</a><img src="a.png">{ids}', encoding="utf-8")
    (tmp_path / "other.html").write_text('<p id="here">:func:`x`</p>', encoding="utf-8")
    (tmp_path / "a.css").write_text("@import url(https://example.org/x.css);", encoding="utf-8")
    found = tool.findings(tmp_path)
    assert len(found) == 3
    for word in ("a.png, which is not there", ":func: was not rendered", "a.css loads something from elsewhere"):
        assert any(word in sentence for sentence in found), word
    (tmp_path / "a.png").write_bytes(b"x")
    (tmp_path / "a.css").write_text("p { color: red }", encoding="utf-8")
    (tmp_path / "other.html").write_text(
        '<p id="there">x</p><script src="//example.org/x.js"></script>', encoding="utf-8"
    )
    found = tool.findings(tmp_path)
    assert len(found) == 2 and "no such place" in found[0] and "from elsewhere" in found[1]
    (tmp_path / "other.html").write_text('<p id="here">x</p>', encoding="utf-8")
    assert tool.findings(tmp_path) == [] and tool.main(tmp_path) == 0
    (tmp_path / "index.html").write_text("", encoding="utf-8")
    assert any(sentence == "neurosleep.spiking.SpikingNetwork is on no page" for sentence in tool.findings(tmp_path))
    assert tool.main(tmp_path / "nowhere") == 1


@pytest.mark.full
def test_the_documentation_builds_strictly(tmp_path: Path) -> None:
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stderr[-3000:]
    assert load("check_site").findings(tmp_path / "site") == []


def test_the_examples_in_docstrings_hold() -> None:
    tried = 0
    for path in sorted((ROOT / "neurosleep").rglob("*.py")):
        if ">>> " not in path.read_text(encoding="utf-8"):
            continue
        parts = path.relative_to(ROOT).with_suffix("").parts
        module = importlib.import_module(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
        found = doctest.testmod(module)
        assert found.failed == 0, f"{module.__name__}: see what doctest printed"
        tried += found.attempted
    assert tried >= 10
