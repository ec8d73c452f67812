import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dec.io import read_arrays, write, write_arrays
from dec.training.checkpoint import Checkpoints
from dec.training.engine import State


def a_state(value: float = 1.0) -> State:
    net = {"a": jnp.full((3, 2), value), "b": jnp.array([jnp.nan, -0.0, 1e-40, jnp.inf], jnp.float32)}
    return State(net, (), (jnp.arange(3, dtype=jnp.uint32), ()), jnp.array([True, False]), jnp.int32(2), jnp.int32(17))


def test_round_trip(tmp_path, identical):
    state = a_state()
    kept = Checkpoints(tmp_path / "checkpoints")
    kept.save("pretrain", 5, state, {"history": [{"loss": 0.1}], "seeds": [3]})
    loaded = kept.load()
    assert (loaded.stage, loaded.period, loaded.note) == ("pretrain", 5, {"history": [{"loss": 0.1}], "seeds": [3]})
    back = loaded.state(jax.eval_shape(lambda: state))
    assert identical(back, state)
    assert jax.tree.structure(back) == jax.tree.structure(state)
    assert [a.dtype for a in jax.tree.leaves(back)] == [a.dtype for a in jax.tree.leaves(state)]


def test_no_checkpoint(tmp_path):
    assert Checkpoints(tmp_path / "none").load() is None


def test_the_last_two_are_kept(tmp_path):
    kept = Checkpoints(tmp_path)
    for period in range(4):
        kept.save("cluster", period, a_state(period), {})
        assert Checkpoints(tmp_path).load().period == period
    assert len(list(tmp_path.iterdir())) == 2  # and no temporary file


@pytest.mark.parametrize("damage", [
    lambda content: b"",
    lambda content: content[: len(content) // 2],
    lambda content: content[:200] + bytes([content[200] ^ 1]) + content[201:],
])
def test_a_damaged_checkpoint_is_passed_over(tmp_path, damage):
    kept = Checkpoints(tmp_path)
    for period in range(3):
        kept.save("cluster", period, a_state(period), {})
    newest = sorted(tmp_path.iterdir())[-1]
    newest.write_bytes(damage(newest.read_bytes()))
    with pytest.warns(match=f"{newest.name} is damaged; going on from an earlier one"):
        assert kept.load().period == 1
    kept.save("cluster", 7, a_state(), {})  # a new one comes after the damaged one
    assert kept.load().period == 7


def test_nothing_left_to_load(tmp_path):
    kept = Checkpoints(tmp_path)
    kept.save("cluster", 0, a_state(), {})
    next(tmp_path.iterdir()).write_bytes(b"no")
    with pytest.warns(match="is damaged"):
        assert kept.load() is None


@pytest.mark.parametrize("other", [
    a_state()._replace(step=jnp.float32(17)),
    a_state()._replace(net={"a": jnp.zeros((2, 3)), "b": jnp.zeros(4)}),
    a_state()._replace(memory=()),
])
def test_leaves_that_do_not_fit_are_refused(other, tmp_path):
    kept = Checkpoints(tmp_path)
    kept.save("cluster", 0, a_state(), {})
    with pytest.raises(ValueError, match="do not fit this configuration"):
        kept.load().state(other)


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write(path, b"old")

    def fail(_):
        raise OSError("disk full")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        write(path, b"new")
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_named_arrays(tmp_path):
    path = tmp_path / "folder" / "arrays.npz"
    arrays = {"net/a": np.arange(6.0).reshape(2, 3), "b": np.array(3, np.int32)}
    write_arrays(path, arrays, {"k": 3})
    back, about = read_arrays(path)
    assert about == {"k": 3}
    assert back.keys() == arrays.keys()
    for name in arrays:
        np.testing.assert_array_equal(back[name], arrays[name])


@pytest.mark.parametrize("content", [b"", b"not a zip file", b"PK\x03\x04 but no more"])
def test_damaged_arrays(tmp_path, content):
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.npz is damaged or was not written by dec"):
        read_arrays(tmp_path / "a.npz")


def test_arrays_damaged_anywhere(tmp_path):
    """Each part cut off, and one bit turned over in each of many places: an error of the same kind, or the same."""
    path = tmp_path / "a.npz"
    write_arrays(path, {"a": np.arange(50.0)}, {"k": 3})
    whole = path.read_bytes()
    for at in range(0, len(whole), 7):
        for content in (whole[:at], whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :]):
            path.write_bytes(content)
            try:
                arrays, about = read_arrays(path)
            except ValueError as error:
                assert "is damaged" in str(error)
            else:
                assert about == {"k": 3}
                assert set(arrays) != {"a"} or (arrays["a"] == np.arange(50)).all()
