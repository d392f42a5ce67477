"""Environments of the reference systems, made once in the cache folder."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import venv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fi_workbench.core.folders import cache_folder

INSTALL_SECONDS = 900.0


@dataclass(frozen=True)
class Recipe:
    """What goes into one environment.

    Parameters
    ----------
    name : str
    steps : tuple of tuple of str
        Arguments of ``pip install``, one call each.
    """

    name: str
    steps: tuple[tuple[str, ...], ...]

    @property
    def digest(self) -> str:
        """Changes with the recipe."""
        return hashlib.sha256(json.dumps([self.name, self.steps]).encode()).hexdigest()[:12]


# CrypTen asks for "sklearn", a name that no longer installs, and for torchvision, which it does without.
CRYPTEN = Recipe(
    "crypten",
    (("torch==2.13.0",), ("--no-deps", "crypten==0.4.1"), ("numpy", "onnx", "omegaconf", "pyyaml")),
)
SPU = Recipe("spu", (("spu==0.9.5",),))


class CannotInstall(RuntimeError):
    """An environment could not be made here."""


def python_of(recipe: Recipe) -> str:
    """The interpreter of an environment, made if it is not there.

    Raises
    ------
    CannotInstall
        With the last line of what pip said.
    """
    folder = cache_folder("environments") / f"{recipe.name}-{recipe.digest}"
    python = folder / "bin" / "python"
    if (folder / "complete").exists():
        return str(python)
    shutil.rmtree(folder, ignore_errors=True)
    try:
        venv.create(folder, with_pip=True)
        for step in recipe.steps:
            _pip(python, step)
    except (OSError, subprocess.SubprocessError) as error:
        raise CannotInstall(f"{recipe.name} cannot be installed here: {_last_line(error)}") from error
    (folder / "complete").touch()
    return str(python)


def _pip(python: Path, step: Sequence[str]) -> None:
    command = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet", *step]
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=INSTALL_SECONDS)


def _last_line(error: Exception) -> str:
    said = error.stderr if isinstance(error, subprocess.CalledProcessError) and error.stderr else str(error)
    lines = [line for line in said.strip().splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
