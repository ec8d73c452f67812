"""These tests compile much and compute little."""

import pytest


@pytest.fixture(scope="module", autouse=True)
def unoptimised(quick_compilation):
    """Every test here runs unoptimised programs."""
