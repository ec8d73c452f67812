"""Shared by all tests: compiled programs are kept between processes, and small configurations."""

import os
import tempfile
from pathlib import Path

import jax
import numpy as np
import pytest

# A compilation cache inside the run: many tests compile the same small programs, some in processes of their own.
CACHE = os.environ.setdefault("DEC_CACHE", tempfile.mkdtemp(prefix="dec-tests-"))
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path(CACHE) / "xla"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.02")
jax.config.update("jax_compilation_cache_dir", os.environ["JAX_COMPILATION_CACHE_DIR"])
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.02)


@pytest.fixture(scope="session")
def blobs() -> tuple[np.ndarray, np.ndarray]:
    """300 rows in four well separated groups of eight numbers, and their groups."""
    from sklearn.datasets import make_blobs

    x, y = make_blobs(300, 8, centers=4, cluster_std=1.0, random_state=0)
    return x.astype(np.float32), y


@pytest.fixture(scope="session")
def tiny() -> dict:
    """Parameters of an estimator that fits in a second."""
    import dec

    return {
        "network": dec.Network(hidden=(16,), code_size=3),
        "pretraining": dec.Pretraining(epochs=20),
        "refinement": dec.Refinement(steps=40, refresh_every=10),
        "batch_size": 64,
        "random_state": 0,
    }


@pytest.fixture(scope="module")
def quick_compilation():
    """Unoptimised programs: for tests that compile much and compute next to nothing."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.fixture(scope="module", autouse=True)
def unoptimised(request):
    """In these folders all tests are of that kind."""
    if request.path.parent.name in ("methods", "networks", "report"):
        request.getfixturevalue("quick_compilation")
