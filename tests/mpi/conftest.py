"""What the tests on every rank share."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest


@pytest.fixture
def folder():
    """A new folder of this rank. With pytest's tmp_path the ranks would remove one another's old ones at once."""
    with TemporaryDirectory() as name:
        yield Path(name)
