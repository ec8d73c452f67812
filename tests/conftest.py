"""Shared by all tests: programs that compile soon and are kept between processes, and small configurations."""

import os
import tempfile
from pathlib import Path

import jax
import numpy as np
import pytest

# The tests compile much and compute next to nothing: without optimizations, and by the older of XLA's two ways of
# generating code on a CPU, that takes a sixth of the time. What is compiled as users do is compared with it in
# end_to_end/test_compiled.py. The cache is for the programs that many tests share, some in processes of their own.
os.environ.setdefault("DEC_CACHE", tempfile.mkdtemp(prefix="dec-tests-"))
COMPILATION = {
    "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
    "JAX_COMPILATION_CACHE_DIR": str(Path(os.environ["DEC_CACHE"]) / "xla"),
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.02",
    "XLA_FLAGS": "--xla_cpu_use_fusion_emitters=false",
}
for name, value in COMPILATION.items():
    os.environ.setdefault(name, value)
jax.config.update("jax_disable_most_optimizations", bool(int(os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"])))
jax.config.update("jax_compilation_cache_dir", os.environ["JAX_COMPILATION_CACHE_DIR"])
jax.config.update("jax_persistent_cache_min_compile_time_secs",
                  float(os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"]))


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


@pytest.fixture(scope="module", autouse=True)
def forget_programs():
    """A process may have 65,530 memory maps; the programs of all tests together would take more."""
    yield
    jax.clear_caches()


@pytest.fixture
def users_environment() -> dict[str, str]:
    """The environment variables of a process whose programs are compiled as users' are, anew."""
    return {name: value for name, value in os.environ.items() if name not in COMPILATION}
