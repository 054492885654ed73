"""Subpackages that import their public names when they are first used."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest


@pytest.mark.parametrize("name", ["hardware", "experiments"])
def test_every_public_name_is_there_and_no_other(name: str) -> None:
    package = importlib.import_module(f"neurosleep.{name}")
    assert all(getattr(package, public) is not None for public in package.__all__)
    assert set(package.__all__) <= set(dir(package))
    given: dict[str, object] = {}
    exec(f"from neurosleep.{name} import *", given)
    assert given.keys() - {"__builtins__"} == set(package.__all__)
    with pytest.raises(AttributeError, match=f"'neurosleep.{name}' has no attribute 'nothing'"):
        _ = package.nothing


def test_a_name_is_looked_up_once_and_by_its_own_module_alone() -> None:
    program = (
        "import sys, neurosleep.hardware as hardware\n"
        "assert 'load_profile' not in vars(hardware)\n"
        "assert hardware.load_profile('loihi1').id == 'loihi1' and 'load_profile' in vars(hardware)\n"
        "assert 'neurosleep.hardware.mapping.map_network' not in sys.modules and 'torch' not in sys.modules\n"
        # An engine that lies in such a subpackage is found by its name all the same.
        "from neurosleep.spiking import get_engine\n"
        "assert type(get_engine('fixed')) is hardware.FixedEngine\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
