"""Views of rows: exact ones where they are known, and what stays the same in the others."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import dec
from dec.config import Augmentation, Model, Network, Optimizer, Pretraining
from dec.training.augment import Augment, _warped

KEY = jax.random.key(0)
IMAGE = jnp.zeros((7, 7, 1)).at[3, 5, 0].set(1.0)  # a point to the right of the center


def test_nothing_is_no_augmentation():
    assert Augment.of(Model()) is None
    np.testing.assert_allclose(_warped(Augmentation(), IMAGE, KEY), IMAGE, atol=1e-6)


def test_a_flip_is_exact():
    views = [_warped(Augmentation(flip=True), IMAGE, jax.random.key(s)) for s in range(40)]
    kept = [np.allclose(view, IMAGE, atol=1e-6) for view in views]
    turned = [np.allclose(view, IMAGE[:, ::-1], atol=1e-6) for view in views]
    assert all(a != b for a, b in zip(kept, turned)) and 10 <= sum(turned) <= 30


def place(view):
    """Where the point is, as its distances (down, right) from the center."""
    rows, columns = np.mgrid[:7, :7] - 3
    return np.array([(view[..., 0] * axis).sum() / view.sum() for axis in (rows, columns)])


@pytest.mark.parametrize(("options", "moves"), [
    ({"shift": 0.14}, lambda p: np.abs(p - [0, 2]).max()),  # up to a pixel each way
    ({"rotation": 30.0}, lambda p: np.degrees(np.arctan2(abs(p[0]), p[1])) / 30),
    ({"shear": 30.0}, lambda p: abs(p[0]) / (2 * np.tan(np.pi / 6)) if abs(p[1] - 2) < 0.1 else np.inf),
    ({"zoom": 0.2}, lambda p: abs(p[1] - 2) / 0.5 + abs(p[0])),
])
def test_a_point_moves_as_far_as_it_may(options, moves):
    moved = [moves(place(np.asarray(_warped(Augmentation(**options), IMAGE, jax.random.key(s))))) for s in range(40)]
    assert 0.5 < max(moved) < 1.1 and min(moved) < 0.3


def test_a_rotation_keeps_the_distance_to_the_center():
    turned = [place(np.asarray(_warped(Augmentation(rotation=90.0), IMAGE, jax.random.key(s)))) for s in range(20)]
    np.testing.assert_allclose([np.hypot(*p) for p in turned], 2.0, atol=0.2)
    assert {int(np.sign(round(p[0]))) for p in turned} >= {-1, 1}  # to both sides


def test_a_box_is_cut_out_and_the_mask_stays():
    x = jnp.concatenate([jnp.ones((5, 20)), jnp.ones((5, 10))], axis=1)  # 10 steps of 2 channels, then their mask
    view = np.asarray(Augment(Augmentation(cutout=0.3), (10, 2))(x, KEY))
    assert (view[:, 20:] == 1).all()
    gone = view[:, :20].reshape(5, 10, 2) == 0
    assert (gone.sum((1, 2)) == 6).all() and (gone[..., 0] == gone[..., 1]).all()
    assert all(np.diff(np.flatnonzero(row[:, 0])).max() == 1 for row in gone)  # one stretch
    assert len({tuple(row[:, 0]) for row in gone}) > 1  # of its own in each row


def test_numbers_by_their_statistics():
    x = jnp.ones((400, 50))
    noise = np.asarray(Augment(Augmentation(noise=0.5))(x, KEY)) - 1
    assert abs(noise.std() - 0.5) < 0.02 and abs(noise.mean()) < 0.02
    masked = np.asarray(Augment(Augmentation(mask=0.2))(x, KEY))
    assert set(np.unique(masked)) == {0.0, 1.0} and abs((masked == 0).mean() - 0.2) < 0.02
    scaled = np.asarray(Augment(Augmentation(amplitude=0.1))(x, KEY))
    np.testing.assert_allclose(scaled, np.repeat(scaled[:, :1], 50, 1), rtol=1e-6)
    assert abs(scaled[:, 0].std() - 0.1) < 0.02


def test_images_need_a_shape():
    with pytest.raises(ValueError, match=r"augmentation.rotation needs rows with a shape.*\(height, width, channels\)"):
        Augment.of(Model(augmentation=Augmentation(rotation=10)))
    with pytest.raises(ValueError, match=r"augmentation\.shift"):
        Augment.of(Model(augmentation=Augmentation(shift=0.1), network=Network(shape=(10, 2))))


def test_targets_come_from_the_rows_as_they_are(blobs, tiny):
    """Of networks that do not move, what a refresh says is the same with and without other views; losses are not."""
    from dec.methods import make

    def loss(net, head, batch, clock):
        return {"still": 0 * net.encode(batch.x).sum(-1) + 0 * head.params.sum(),
                "changed": jnp.abs(batch.x - batch.clean).max(),
                "targets": jnp.sum(batch.rows**2, axis=1) + jnp.sum(batch.stats**2)}

    method, still = make("dec")._replace(loss=loss), {"pretraining": Pretraining(1, optimizer=Optimizer("sgd", 1e-12))}
    views = dec.DeepClustering(4, method=method, augmentation=Augmentation(noise=0.3), **tiny | still).fit(blobs[0])
    plain = dec.DeepClustering(4, method=method, **tiny | still).fit(blobs[0])
    first = [model.history_.query("phase == 'cluster'").iloc[0] for model in (views, plain)]
    assert first[0]["changed"] > 0.5 and first[1]["changed"] == 0
    np.testing.assert_allclose(first[0]["targets"], first[1]["targets"], rtol=1e-6)
    losses = [model.history_.query("phase == 'pretrain'")["loss"].iloc[-1] for model in (views, plain)]
    assert losses[0] > 1.02 * losses[1]


@pytest.mark.parametrize("output", ["sigmoid", "mixed"])
def test_values_without_a_likelihood_are_refused(output):
    with pytest.raises(ValueError, match=f"augmentation.noise and .amplitude .* network.output='{output}'"):
        Model(scaling="none", network=Network(output=output), augmentation=Augmentation(noise=0.1))


def test_noise_leaves_steps_that_are_not_there():
    row = jnp.array([[1.0, 1, 1, 1, 0, 0, 1, 1, 0]])  # three steps of two channels, of which two are there
    seen = np.asarray(Augment(Augmentation(noise=0.5), (3, 2))(row, KEY))[0]
    assert (seen[:4] != 1).all() and (seen[4:] == [0, 0, 1, 1, 0]).all()
    network = Network(blocks=("sequence:3x2",))  # what `SequenceWindows` says of them is enough
    assert Augment.of(Model(augmentation=Augmentation(noise=0.5), network=network)).shape == (3, 2)
