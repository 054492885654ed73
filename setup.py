"""The packages of the wheel; everything else about it is in pyproject.toml."""

from setuptools import find_namespace_packages, setup

setup(
    # Folders without __init__.py (data, experiment files, templates) count as packages, as setuptools wants it.
    packages=[*find_namespace_packages(include=["neurosleep", "neurosleep.*"]), "neurosleep.hardware_profiles"],
    package_dir={"neurosleep.hardware_profiles": "hardware_profiles"},
)
