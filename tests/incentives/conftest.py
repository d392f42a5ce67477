"""What tests of contributions share."""

import numpy as np
import pytest


@pytest.fixture
def rng():
    """Equal numbers in every run."""
    return np.random.default_rng(0)
