"""The trainers of others are extras: nothing of the subpackage but their own files imports them."""

from __future__ import annotations

import subprocess
import sys


def test_the_subpackage_imports_no_trainer() -> None:
    trainers = "{'avalanche', 'lightning', 'pytorch_lightning', 'transformers'}"
    program = f"import sys, neurosleep.continual; print(sorted({trainers} & set(sys.modules)), len(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    found, modules = done.stdout.rsplit(maxsplit=1)
    assert found == "[]" and int(modules) > 100
