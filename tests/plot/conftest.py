from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture
def accuracy_rows() -> list[dict[str, Any]]:
    """Two tasks: forgetting after the second wake phase, recovery after its sleep."""
    values = {
        (1, "wake"): (0.9, 0.0),
        (1, "sleep"): (0.8, 0.1),
        (2, "wake"): (0.2, 0.95),
        (2, "sleep"): (0.6, 0.7),
    }
    return [
        {"after_task": after, "phase": phase, "on_task": on, "accuracy": value}
        for (after, phase), row in values.items()
        for on, value in enumerate(row, start=1)
    ]
