from pathlib import Path

import pytest


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker("packaging")


@pytest.fixture(scope="session")
def root():
    return Path(__file__).parents[2]
