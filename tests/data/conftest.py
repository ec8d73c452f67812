"""Empty folders for every test, and the real data sets where $DEC_DATA has them."""

import os

import pytest

from dec.data.readers import available

REAL_DATA = os.environ.get("DEC_DATA")


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch):
    """Every test has its own empty data and cache folders, whatever the environment says."""
    monkeypatch.setenv("DEC_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("DEC_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def real(monkeypatch):
    """Call it with a name: skips the test where that data set is not under the $DEC_DATA of the environment."""
    monkeypatch.setenv("DEC_DATA", REAL_DATA or "")

    def need(name):
        if not available()[name][1]:
            pytest.skip(f"{name} is not under DEC_DATA={REAL_DATA!r}")

    return need
