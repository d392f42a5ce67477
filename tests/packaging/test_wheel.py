"""The wheel is built and used where there is no node."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

NODE_PROGRAMS = ("node", "nodejs", "npm", "npx", "corepack", "yarn", "jlpm")


def run(*command, **kwargs):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, **kwargs)
    assert done.returncode == 0, f"{command} failed:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout + done.stderr


@pytest.fixture(scope="session")
def environment(tmp_path_factory):
    """The environment of this process, with a PATH on which there is no node."""
    programs = tmp_path_factory.mktemp("programs")
    for folder in map(Path, ("/usr/local/bin", "/usr/bin", "/bin")):
        for program in folder.iterdir() if folder.is_dir() else ():
            if program.name not in NODE_PROGRAMS and not (programs / program.name).is_symlink():
                (programs / program.name).symlink_to(program)
    without_node = {**os.environ, "PATH": str(programs), "NO_COLOR": "1"}
    assert shutil.which("node", path=without_node["PATH"]) is None
    return without_node


@pytest.fixture(scope="session")
def wheel(root, tmp_path_factory, environment):
    source = tmp_path_factory.mktemp("source")
    # What git would carry, so that neither a built extension nor node_modules is found ready.
    for name in run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=root).split("\0"):
        if name and (root / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, source / name)
    dist = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--wheel", "--outdir", dist, source, env=environment)
    (built,) = dist.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def installed(wheel, tmp_path_factory):
    """A virtual environment with the wheel; everything else comes from the one that runs the tests."""
    folder = tmp_path_factory.mktemp("venv")
    venv.create(folder, symlinks=True, with_pip=False)
    python = folder / "bin/python"
    (site,) = folder.glob("lib/python*/site-packages")
    # A path in a .pth file is not itself searched for .pth files: an editable install stays out of sight.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    run(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index", wheel)
    return folder


@pytest.mark.timeout(400)  # the first test to ask for it waits for the build
def test_wheel_holds_what_it_should(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    shared = f"{wheel.name.split('-py3')[0]}.data/data"
    data = f"{shared}/share/jupyter/labextensions/fi-workbench"
    expected = {
        "fi_workbench/__init__.py",
        "fi_workbench/py.typed",
        f"{wheel.name.split('-py3')[0]}.dist-info/licenses/LICENSE",
        f"{shared}/etc/jupyter/jupyter_server_config.d/fi_workbench.json",
        f"{data}/install.json",
        f"{data}/package.json",
        f"{data}/schemas/fi-workbench/plugin.json",
        f"{data}/static/style.js",
    }
    assert expected <= set(names)
    unwanted = ("node_modules", "tests/", "extension/", "fi_workbench/labextension", "build_log.json", ".js.map")
    assert not [name for name in names if any(word in name for word in unwanted)]


@pytest.mark.timeout(400)
def test_jupyterlab_finds_the_extension_without_node(installed, environment):
    listing = run(
        *(installed / "bin/python", "-c", "from jupyterlab.labextensions import main; main()", "list"), env=environment
    )
    (line,) = (line for line in listing.splitlines() if "fi-workbench" in line)
    assert "enabled" in line
    assert "OK" in line


@pytest.mark.timeout(400)
def test_a_jupyter_server_loads_its_side_of_the_extension(installed, environment, tmp_path):
    own = environment | {"JUPYTER_CONFIG_DIR": str(tmp_path), "JUPYTER_CONFIG_PATH": str(installed / "etc/jupyter")}
    main = "from jupyter_server.extension.serverextension import main; main()"
    listing = run(installed / "bin/python", "-c", main, "list", env=own, cwd=tmp_path)
    (line,) = (line for line in listing.splitlines() if "fi_workbench.lab" in line and "enabled" in line)
    assert re.search(r"fi_workbench\.lab .*OK", listing), line


@pytest.mark.timeout(400)
def test_workbench_imports_from_the_wheel(installed, environment, tmp_path):
    # The workbench reads its scripts and styles when it is imported: they must have shipped too.
    code = "import fi_workbench as fi; fi.Workbench; print(fi.__file__)"
    where = run(installed / "bin/python", "-c", code, env=environment, cwd=tmp_path).strip()
    assert Path(where).is_relative_to(installed)
    assert (installed / "bin/fi-workbench").is_file()
