"""Small data and a cache of their own for the tests of parties."""

import numpy as np
import pytest

from fi_workbench.parties import Dataset


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty home folder: nothing cached, nothing named by the user."""
    monkeypatch.setenv("FI_WORKBENCH_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("FI_WORKBENCH_DATA", raising=False)
    return tmp_path / "home"


@pytest.fixture(scope="session")
def tiny():
    """Three classes of 8x8 pictures that differ in which third is bright; 90 + 30 of them."""
    return tiny_dataset()


def tiny_dataset():
    rng = np.random.default_rng(0)
    labels = np.arange(120) % 3
    images = rng.uniform(0, 0.4, (120, 1, 8, 8)).astype(np.float32)
    for image, label in zip(images, labels, strict=True):
        image[:, :, 3 * label : 3 * label + 2] += 0.5
    return Dataset.from_arrays(images[:90], labels[:90], images[90:], labels[90:], name="tiny")
