"""Every kind of raw data from its file to clusters, and back through `predict` to the same clusters."""


import shutil

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from command_line import run
from PIL import Image

import dec
from dec.data import arrays, stream

TINY = ["--hidden", "16", "--code-size", "2", "--pretraining.epochs", "30", "--batch-size", "32", "--quiet"]
N = 60
GROUP = np.arange(N) % 2


def texts():
    rng = np.random.default_rng(0)
    words = [["ocean", "ship", "sailor", "harbour", "wave"], ["oven", "flour", "butter", "sugar", "baker"]]
    return [" ".join(rng.choice(words[g], 12)) + " <br /> and the end" for g in GROUP]


def to_numbers():
    return np.random.default_rng(0).normal(0, 0.2, (N, 12)) + GROUP[:, None] * 3


def table_of_texts(folder):
    pd.DataFrame({"id": range(N), "story": texts()}).to_csv(folder / "stories.csv.gz", index=False)
    return "stories.csv.gz", ["--id", "id"], False


def folder_of_texts(folder):
    for i, text in enumerate(texts()):
        where = folder / "texts" / f"group {GROUP[i]}"
        where.mkdir(parents=True, exist_ok=True)
        (where / f"{i:02d}.txt").write_text(text)
    return "texts", ["--text", "tfidf"], True


def folder_of_images(folder):
    rng = np.random.default_rng(0)
    for i, g in enumerate(GROUP):
        where = folder / "images" / f"group {g}"
        where.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 60, (9 + i % 3, 8)) + g * 180  # of three sizes
        Image.fromarray(pixels.astype(np.uint8)).save(where / f"{i:02d}.png")
    return "images", ["--size", "6,6"], True


def recordings(folder):
    rng = np.random.default_rng(0)
    time = np.arange(24) * np.where(GROUP, np.pi / 6, np.pi / 2)[:, None]  # whole periods in a window
    x = np.sin(time + rng.uniform(0, 0.2, (N, 1)))[..., None] + rng.normal(0, 0.05, (N, 24, 2))
    np.savez(folder / "recordings.npz", X=x.astype(np.float32), y=GROUP)
    return "recordings.npz", ["--window", "12", "--scaling", "standard"], True


def folder_of_recordings(folder):
    rng = np.random.default_rng(0)
    for i, g in enumerate(GROUP):
        time = np.arange(rng.integers(12, 25)) * (np.pi / 6 if g else np.pi / 2)
        where = folder / "steps" / f"group {g}"
        where.mkdir(parents=True, exist_ok=True)
        np.save(where / f"{i:02d}.npy", np.sin(time + rng.uniform(0, 0.2))[:, None] + rng.normal(0, 0.05, (1, 2)))
    return "steps", [], True


def mapped(folder):
    np.save(folder / "mapped.npy", to_numbers())  # float64
    return "mapped.npy", ["--stream-above", "0"], False


def sparse(folder):
    x = np.where(np.random.default_rng(1).random((N, 12)) < 0.4, to_numbers(), 0) + GROUP[:, None] * np.eye(12)[0] * 9
    scipy.sparse.save_npz(folder / "sparse.npz", scipy.sparse.csr_array(x))
    return "sparse.npz", [], False


def shards(folder):
    (folder / "shards").mkdir()
    frame = pd.DataFrame(to_numbers().astype(np.float32), columns=[f"c{i}" for i in range(12)]).assign(name=range(N))
    for i in range(3):
        frame[i * 20:(i + 1) * 20].to_parquet(folder / "shards" / f"part-{i}.parquet", index=False, row_group_size=8)
    return "shards", ["--id", "name", "--stream-above", "0"], False


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kinds")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEC_CACHE", str(folder / "cache"))
        patch.setattr(stream, "LARGE", 0)  # so that the shards stay on the disk
        patch.setattr(arrays, "MAPPED", 300)  # and so do larger arrays
        patch.chdir(folder)
        yield folder


FOLDERS = (folder_of_texts, folder_of_images, folder_of_recordings)


@pytest.mark.parametrize("make", [table_of_texts, *FOLDERS, recordings, mapped, sparse, shards])
def test_from_the_file_to_clusters_and_back(place, make):
    data, options, labelled = make(place)
    out = place / f"run of {make.__name__}"
    status, printed, err = run("train", "ae+kmeans", "--data", data, "--n-clusters", 2, *options, *TINY, "--out", out)
    assert (status, err) == (0, ""), err
    assert "1/1 ok" in printed and ("ACC" in printed) == labelled
    found = pd.read_csv(out / "labels.csv")
    group = GROUP
    if make in FOLDERS:
        group = found["file"].str.startswith("group 1").astype(int).to_numpy()
    if make is recordings:
        assert list(found["step"][:4]) == [0, 12, 0, 12]
        group = np.repeat(GROUP, 2)
    assert pd.crosstab(found["cluster"], group).max(axis=1).sum() >= 0.9 * len(group), "each cluster is one group"
    if make is folder_of_recordings:  # of 12 to 24 steps: the network is told of the mask
        assert "sequence:24x2" in run("data", "inspect", data)[1]
        assert dec.load(out)[-1].fit_.model.network.blocks == ("sequence:24x2",)
    if make in FOLDERS:  # no labels are needed to predict, so that files may be at any depth
        shutil.copytree(data, f"new {data}/in/it")
        data = f"new {data}"
    assert run("predict", out, data, "--out", f"{out}.csv")[0] == 0
    again = pd.read_csv(f"{out}.csv")
    if make in FOLDERS:
        again["file"] = again["file"].str.removeprefix("in/it/")
    pd.testing.assert_frame_equal(again, found[list(again)], rtol=1e-3)


def test_sparse_rows_in_python(place, tiny):
    x = scipy.sparse.csr_array(np.where(to_numbers() > 1, to_numbers(), 0).astype(np.float32))
    model = dec.DEC(2, **tiny).fit(x)
    np.testing.assert_array_equal(model.labels_, dec.DEC(2, **tiny).fit(x.toarray()).labels_)
    np.testing.assert_array_equal(model.predict(x), model.labels_)
    assert model.score_samples(x[:5]).shape == (5,)
