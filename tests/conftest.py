import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def test_data():
    """The folder FASTMD_TEST_DATA names; what needs it is skipped, saying so, where it is unset."""
    folder = os.environ.get("FASTMD_TEST_DATA")
    if not folder:
        pytest.skip("FASTMD_TEST_DATA is not set: it names the folder with the reference data this test reads")
    return Path(folder)
