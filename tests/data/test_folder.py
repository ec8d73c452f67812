"""Folders of images, texts, recordings and Parquet shards."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from dec.config import Features
from dec.data.readers import load


def fill(folder, *names):
    """Files of a colour, a text or a length of their own."""
    for i, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".txt":
            path.write_text(f"the text in {name}")
        elif path.suffix == ".npy":
            np.save(path, np.ones((i + 1, 2)))
        else:
            Image.fromarray(np.full((3, 4), i, np.uint8)).save(path)
    return folder


def test_images_stay_paths_labelled_by_their_folder(tmp_path):
    folder = fill(tmp_path / "pets", "dogs/b.png", "dogs/a.jpg", "cats/c.PNG", "cats/d.tif", "cats/.hidden.png",
                  ".x/e.png")
    (folder / "labels.csv").write_text("not read")
    data = load(str(folder))
    assert data.kind == "image" and data.name == "pets" and data.x.shape == (4,) and data.x.dtype == object
    assert data.ids.name == "file" and data.ids.tolist() == ["cats/c.PNG", "cats/d.tif", "dogs/a.jpg", "dogs/b.png"]
    assert list(data.x) == [folder / name for name in data.ids] and isinstance(data.x[0], Path)
    assert data.y.tolist() == [0, 0, 1, 1] and data.classes == ("cats", "dogs")
    assert data.source == f"{folder}, 4 rows; not read: 1 .csv"
    part = load(str(folder), 2)
    assert [folder / name for name in part.ids] == list(part.x) and len(part.y) == 2


def test_recordings_stay_paths_labelled_by_their_folder(tmp_path):
    folder = fill(tmp_path / "steps", "run/b.npy", "run/a.npy", "walk/c.npy")
    data = load(str(folder))
    assert data.kind == "sequence" and data.ids.tolist() == ["run/a.npy", "run/b.npy", "walk/c.npy"]
    assert list(data.x) == [folder / name for name in data.ids] and data.y.tolist() == [0, 0, 1]
    before = data.digest
    np.save(folder / "run/b.npy", np.zeros((1, 2)))
    assert load(str(folder)).digest != before


@pytest.mark.parametrize("suffix", ["png", "txt", "npy"])
def test_without_labels_sub_folders_are_of_any_depth(tmp_path, suffix):
    names = [f"{name}.{suffix}" for name in ("a", "b/c", "b/d/e/f")]
    data = load(str(fill(tmp_path / "new", *names)), labels=False)
    assert data.ids.tolist() == names and data.y is None and data.classes == ()
    labelled = load(str(tmp_path / "new" / "b" / "d"), labels=False)  # one level is labels still
    assert labelled.classes == ("e",) and labelled.ids.tolist() == [f"e/f.{suffix}"]


@pytest.mark.parametrize("names, classes", [
    (("b.txt", "a.txt"), ()),
    (("no/b.txt", "yes/a.txt"), ("no", "yes")),
])
def test_texts_are_read(tmp_path, names, classes):
    data = load(str(fill(tmp_path / "notes", *names)), features=Features(text="tfidf"))
    assert data.kind == "text" and data.ids.tolist() == sorted(names) and data.classes == classes
    assert data.x.tolist() == [f"the text in {name}" for name in sorted(names)]
    assert (data.y is None) == (not classes)


def test_a_text_in_another_encoding(tmp_path):
    fill(tmp_path / "notes", "a.txt")
    (tmp_path / "notes" / "b.txt").write_bytes("eins\nzwei\nfünf".encode("latin-1"))
    with pytest.raises(ValueError, match=r"notes/b\.txt is not UTF-8: byte 0xfc at position 1 of line 3.*iconv"):
        load(str(tmp_path / "notes"))


def test_shards_are_one_table_in_the_order_of_their_names(tmp_path):
    folder = tmp_path / "table"
    folder.mkdir()
    pd.DataFrame({"b": ["x", "y"], "a": [3, 4]}).to_parquet(folder / "part-1.parquet")  # columns in another order
    pd.DataFrame({"a": [1, 2], "b": ["x", "x"]}).to_parquet(folder / "part-0.parquet")
    (folder / "_SUCCESS").touch()
    data = load(str(folder), features=Features(label="b"))
    assert data.kind == "table" and data.name == "table" and data.x.to_dict("list") == {"a": [1, 2, 3, 4]}
    assert data.y.tolist() == [0, 0, 0, 1] and data.source == f"{folder}, 4 rows; not read: 1 _SUCCESS"
    pd.DataFrame({"a": [2], "b": ["x"]}).to_parquet(folder / "part-2.parquet")
    with pytest.raises(ValueError, match=r"table has '2' in column 'a'.* in row 1 and in row 4"):
        load(str(folder), features=Features(id="a"))
