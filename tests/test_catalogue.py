"""The catalogue names what the registries have, and reads it without torch."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from neurosleep._catalogue import KINDS, catalogue
from neurosleep.cli.app import app
from neurosleep.data import dataset_names
from neurosleep.errors import UnknownNameError
from neurosleep.experiments import STRATEGIES, experiment_names
from neurosleep.experiments.reading import load_published
from neurosleep.functional import RULES
from neurosleep.hardware import profile_names
from neurosleep.spiking import engine_names

REGISTRIES = {
    "experiments": experiment_names(),
    "strategies": tuple(STRATEGIES),
    "engines": engine_names(),
    "rules": tuple(sorted(RULES)),
    "profiles": profile_names(),
    "datasets": dataset_names(),
}


@pytest.mark.parametrize("kind", KINDS)
def test_names_are_those_of_the_registry_each_with_a_line(kind: str) -> None:
    entries = catalogue(kind)
    assert tuple(entry.name for entry in entries) == REGISTRIES[kind]
    assert all(len(entry.text) > 8 and "\n" not in entry.text for entry in entries)


def test_an_unknown_kind() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'rules'"):
        catalogue("rulez")


def test_experiments_have_their_published_figures_and_times() -> None:
    entries = {entry.name: entry for entry in catalogue("experiments")}
    mnist = entries["src2022/mnist"]
    assert mnist.published is not None and mnist.minutes is not None and mnist.minutes > 0
    assert mnist.published["src"] == load_published("src2022/mnist")["src"].mean
    for name, entry in entries.items():
        assert (entry.published or {}) == {strategy: one.mean for strategy, one in load_published(name).items()}, name
    assert entries["demo/classifier"].published is None


def test_list_describes_a_kind() -> None:
    shown = CliRunner().invoke(app, ["list", "experiments"])
    lines = shown.stdout.splitlines()
    place = next(k for k, line in enumerate(lines) if line.startswith("src2022/mnist  "))
    assert "min a run" in lines[place] and lines[place + 1].startswith("    Class-incremental MNIST")
    rules = CliRunner().invoke(app, ["list", "rules"])
    assert "pairs of spikes" in rules.stdout
    told = json.loads(CliRunner().invoke(app, ["list", "engines", "--json"]).stdout)
    assert [one["name"] for one in told["engines"]] == list(engine_names())
    assert CliRunner().invoke(app, ["list", "rulez"]).exit_code == 2


@pytest.mark.parametrize("arguments", [["list"], ["list", "experiments"], ["reproduce", "--help"]])
def test_torch_is_not_imported_for_a_list(arguments: list[str]) -> None:
    program = (
        "import sys\n"
        "from neurosleep.cli.app import main\n"
        f"sys.argv = ['neurosleep', *{arguments!r}]\n"
        "try:\n"
        "    main()\n"
        "finally:\n"
        "    print(sorted({'torch', 'numpy'} & set(sys.modules)), file=sys.stderr)\n"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stderr.strip() == "[]" and result.stdout


@pytest.mark.parametrize(
    ("typed", "names"), [("run demo/", {"demo/classifier", "demo/mnist-mini"}), ("list en", {"engines"})]
)
def test_shells_complete_names(typed: str, names: set[str]) -> None:
    asked = {"_NEUROSLEEP_COMPLETE": "complete_bash", "COMP_WORDS": f"neurosleep {typed}", "COMP_CWORD": "2"}
    program = "import sys; sys.argv = ['neurosleep']; from neurosleep.cli import main; main()"
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env={**os.environ, **asked}
    )
    assert set(result.stdout.split()) == names
