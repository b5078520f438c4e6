"""What holds for every test: minima are kept in a folder of this session, not in the user's; and what starts ranks is
marked, so that nothing else runs meanwhile."""

import os
from tempfile import TemporaryDirectory

import pytest

import launch


def pytest_runtest_setup(item):
    launch.marked = item.get_closest_marker("ranks") is not None


@pytest.fixture(scope="session", autouse=True)
def _own_cache():
    with TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = folder
        yield
