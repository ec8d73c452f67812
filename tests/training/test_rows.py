"""Rows on the device, as CSR and streamed: the same rows, the same training, and little memory."""

import os
import subprocess
import sys
import textwrap
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.sparse import csr_array, random_array

from dec.data.scaling import Scaling
from dec.data.stream import Subset
from dec.training import engine, rows
from dec.training.checkpoint import Checkpoints
from dec.training.engine import place, sweep
from dec.training.rows import SWEEP, Sparse, Windows, reading, window_rows

PLAIN = Scaling(np.float32(1), np.float32(0.5))


class Host:
    """Rows that count how often each block of them is read, and that may fail."""

    def __init__(self, x, fail_from=None):
        self.x, self.fail_from, self.reads = x, fail_from, []
        self.shape, self.dtype = x.shape, x.dtype

    def __getitem__(self, rows):
        if rows.stop:
            self.reads.append(rows.start)
            if self.fail_from is not None and rows.stop > self.fail_from:
                raise OSError("the disk is gone")
        return self.x[rows]


@pytest.fixture
def small_windows(monkeypatch):
    """Windows of 64 rows of 8 float32 or of CSR: 300 rows make five, the last of 44."""
    monkeypatch.setattr(rows, "WINDOW_BYTES", 64 * 32)
    monkeypatch.setattr(rows, "LEAST_WINDOW", 1)
    monkeypatch.setattr(rows, "SPARSE_WINDOW", 64)
    yield
    assert not rows._OPEN  # nothing is left open


# ---- CSR on the device


@pytest.mark.parametrize("make", [
    lambda: random_array((50, 30), density=0.1, rng=0, dtype=np.float32, format="csr"),
    lambda: csr_array((50, 30), dtype=np.float32),  # no entries at all
    lambda: csr_array(np.eye(50, 30, dtype=np.float32) + np.eye(1, 50).T * np.ones(30)),  # one full row, empty ones
    lambda: csr_array((np.float32([1, 2, 4]), [3, 3, 0], [0, 2, 2, 3]), (3, 30)),  # a column twice in one row
])
def test_csr_rows_are_its_dense_rows(make):
    x = make()
    at = jnp.array([2, 0, 1, 2, x.shape[0] - 1])
    got = jax.jit(lambda sparse, at: sparse[at])(Sparse.of(x), at)
    np.testing.assert_array_equal(got, x.toarray()[np.asarray(at)])
    data = place(x, PLAIN)
    np.testing.assert_allclose(data[:], (x.toarray() - 1) / 2, rtol=1e-6)
    np.testing.assert_array_equal(data[1:3], data[:][1:3])


# ---- Streamed rows, by themselves


@pytest.mark.parametrize("kind", ["uint8", "float64", "memmap", "images", "csr", "subset", *(
    pytest.param(kind, marks=pytest.mark.slow) for kind in ("int64", "foreign"))])
@pytest.mark.usefixtures("small_windows")
def test_streamed_rows_are_the_resident_ones(kind, tmp_path):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 200, (300, 8)).astype(np.uint8)
    match kind:
        case "float64":
            x = x / 3
        case "int64":
            x = x.astype(np.int64) + 2**40
        case "foreign":
            x = (x / 3).astype(">f4")
        case "memmap":
            np.save(tmp_path / "x.npy", x)
            x = np.load(tmp_path / "x.npy", mmap_mode="r")
        case "images":
            x = x.reshape(300, 2, 2, 2)
        case "csr":
            x = csr_array(np.where(x > 150, x, 0).astype(np.float32))
        case "subset":
            x = Subset(np.concatenate([x, x + 1]), np.arange(0, 600, 2))
    streamed, resident = place(x, PLAIN, stream_above=0), place(x, PLAIN)
    n = x.shape[0]
    assert streamed.window == resident.window < n
    with reading(streamed.x):
        at = jnp.array([[5, 5, 149], [70, 0, 128]])
        np.testing.assert_array_equal(streamed[at[0]], resident[at[0]])
        np.testing.assert_array_equal(streamed[:], resident[:])

        def batches(data):
            def one(key):
                return data.batches(key, jnp.int32(0), 10, 40)(jnp.int32(3))

            keys = jax.random.split(jax.random.key(0), 3)
            return jax.vmap(one)(keys), jax.lax.map(one, keys), sweep(lambda x, w: (x, x.sum(0)), data)

        for one, other in zip(*(jax.tree.leaves(jax.jit(batches)(data)) for data in (streamed, resident))):
            np.testing.assert_array_equal(one, other)


def test_windows_are_read_once_in_a_sweep_and_ahead():
    host = Host(np.arange(1000).reshape(500, 2))
    windows = Windows(host, 100, np.dtype(np.int32))
    for start in range(0, 500, 50):
        np.testing.assert_array_equal(windows.take(np.arange(start, start + 50), SWEEP), host.x[start : start + 50])
        assert len(windows._held) <= rows.HELD
        for future in list(windows._held.values()):
            future.result()
        assert host.reads == list(range(0, min(500, start // 100 * 100 + 101), 100))
    windows.take(np.array([[0, 499], [99, 450]]), 2)  # of two windows, and one ahead
    assert len(windows._held) == rows.HELD and 2 in windows._held
    windows.close()


def test_the_window_of_mnist_and_of_wide_rows():
    assert window_rows(np.empty((3, 784), np.uint8)) > 70_000
    assert window_rows(np.empty((10**6, 784), np.uint8)) == window_rows(np.empty((3, 28, 28), np.uint8))
    assert window_rows(np.empty((3, 784), np.float64)) == window_rows(np.empty((3, 784), np.float32))
    assert window_rows(np.empty((3, 10**6), np.float32)) == rows.LEAST_WINDOW
    assert window_rows(csr_array((3, 10**6))) == rows.SPARSE_WINDOW


def test_where_rows_go():
    x = np.zeros((1024, 1024), np.uint8)
    size = 1024**2 / 2**30

    def streams(x, above):
        data = place(x, PLAIN, above)
        with reading(data.x):
            return isinstance(data.x, rows.Streamed)

    assert [streams(x, above) for above in (0, size * 0.999, size)] == [True, True, False]
    sparse = csr_array(x)  # three arrays without an entry
    assert streams(sparse, 0) and not streams(sparse, 5000 / 2**30)


# ---- Whole fits


@pytest.fixture(scope="module")
def asked(model):
    """With held-out rows, so that two sources are read in turn."""
    return replace(model, pretraining=replace(model.pretraining, validation=0.2, epochs=3))


def history(run):
    return sorted(run.session.history, key=lambda r: (r["phase"], r["seed"], r["period"]))


def same(a, b, identical):
    return identical((a.fit.nets, a.fit.heads, a.fit.labels), (b.fit.nets, b.fit.heads, b.fit.labels)) and (
        history(a) == history(b))


@pytest.mark.usefixtures("small_windows")
def test_a_streamed_fit_is_the_resident_one(train, asked, x, tmp_path, monkeypatch, identical):
    """Also when it is killed within each phase and resumed; and with one program a phase for any file."""
    resident = train([0, 1], model=asked)
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    streaming = replace(asked, stream_above=0)
    streamed = train([0, 1], model=streaming, rows=mapped)
    assert same(streamed, resident, identical)
    np.testing.assert_array_equal(streamed.fit.encode(mapped), resident.fit.encode(x))

    monkeypatch.setattr(engine, "CHUNK_SECONDS", 0.0)
    monkeypatch.setenv("DEC_CHECKPOINT_SECONDS", "0")
    before = engine.TRACES.copy()
    for phase, chunk in (("pretrain", 2), ("cluster", 7)):
        seen, checkpoints = [], Checkpoints(tmp_path / phase)

        def kill(session, phase=phase, chunk=chunk, seen=seen):
            seen.append(session.phase)
            if seen.count(phase) == chunk:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            train([0, 1], model=streaming, rows=mapped, checkpoints=checkpoints, callback=kill)
        resumed = train([0, 1], model=streaming, rows=mapped, resume=checkpoints.load())
        assert same(resumed, resident, identical)
    assert before == engine.TRACES


@pytest.mark.slow
def test_csr_as_users_compile(users_environment):
    as_users = users_environment | {"JAX_DISABLE_MOST_OPTIMIZATIONS": "0", "XLA_FLAGS": ""}
    words = [sys.executable, "-m", "pytest", "-q", "-n0", "-m", "slow", f"{__file__}::test_csr_dense_and_streamed_csr"]
    done = subprocess.run(words, env=as_users, capture_output=True, text=True)
    assert done.returncode == 0 and "1 passed" in done.stdout, done.stdout


@pytest.mark.usefixtures("small_windows")
@pytest.mark.slow
@pytest.mark.skipif("fusion_emitters=false" in os.environ["XLA_FLAGS"], reason="XLA's older code rounds CSR otherwise; "
                    "test_csr_as_users_compile runs it")
def test_csr_dense_and_streamed_csr(train, model, x, identical):
    few = replace(model, pretraining=replace(model.pretraining, epochs=2),
                  refinement=replace(model.refinement, steps=10))
    entries = np.where(np.abs(x) > 3, x, 0)
    dense, sparse = (train([0, 1], model=few, rows=kind) for kind in (entries, csr_array(entries)))
    streamed = train([0, 1], model=replace(few, stream_above=0), rows=csr_array(entries))
    assert same(streamed, sparse, identical)
    assert dense.fit.scaling == sparse.fit.scaling
    for a, b in zip(history(dense), history(sparse)):
        np.testing.assert_allclose(a["loss"], b["loss"], rtol=1e-4)
    np.testing.assert_allclose(dense.fit.encode(entries), sparse.fit.encode(csr_array(entries)), atol=1e-3)


@pytest.mark.usefixtures("small_windows")
def test_what_goes_wrong_in_reading_is_what_is_raised(train, model, x, caplog):
    host = Host(x, fail_from=200)
    streaming = replace(model, stream_above=0, scaling="none")
    with pytest.raises(OSError, match="the disk is gone") as caught:
        train([0, 1], model=streaming, rows=host)
    assert caught.value.__notes__ == ["This happened while rows 192 to 256 were read."] or (
        caught.value.__notes__ == ["This happened while rows 256 to 300 were read."])
    assert caught.value.__suppress_context__ and not caplog.records


@pytest.mark.slow
def test_memory_does_not_grow_with_the_rows(tmp_path):
    """A file of 768 MiB, which is a hole, through an epoch and a pass for its codes in windows of 4 MiB."""
    code = textwrap.dedent("""
        import sys, threading, time
        import numpy as np
        from dec import config
        from dec.data.scaling import Scaling
        from dec.networks.autoencoder import build
        from dec.training import pretrained, rows
        from dec.training.engine import place
        from dec.training.session import Session

        def anonymous():
            with open("/proc/self/status") as file:
                return next(int(line.split()[1]) / 1024 for line in file if line.startswith("RssAnon"))

        def watch():
            while True:
                peak[0] = max(peak[0], anonymous())
                time.sleep(0.02)

        rows.WINDOW_BYTES = 2**22
        x = np.lib.format.open_memmap(sys.argv[1], "w+", np.uint8, (3 * 2**18, 1024))
        model = config.Model(batch_size=4096, stream_above=0.1, network=config.Network(hidden=(2,), code_size=1),
                             pretraining=config.Pretraining(epochs=1))
        module, scaling = build(model.network, 1024), Scaling(np.float32(0), np.float32(1))
        peak = [anonymous()]
        start = peak[0]
        threading.Thread(target=watch, daemon=True).start()
        nets = pretrained.networks(module, x, scaling, None, model, Session([0]))
        data = place(x, scaling, 0.1)
        with rows.reading(data.x):
            codes = np.asarray(pretrained.encode_seeds(data, nets))
        assert codes.shape == (1, 3 * 2**18, 1) and not codes.any()
        print(peak[0] - start)
    """)
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "x.npy")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert float(done.stdout) < 400  # MiB, of which the compiler takes most
