"""Images as rows of pixels: arrays, files of every mode, sizes, colours, the way back, saving, errors."""

import numpy as np
import pytest
import skops.io
from PIL import Image
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from dec.data.transformers.image import ImageFeatures

GREY = np.arange(24, dtype=np.uint8).reshape(2, 3, 4) * 10
RED, GREEN, BLUE, WHITE = [255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]
# ITU-R 601-2: 0.299 red, 0.587 green, 0.114 blue, times 255
COLOURFUL, AS_GREY = np.array([[[RED, GREEN], [BLUE, WHITE]]], np.uint8), [[76, 150, 29, 255]]


@pytest.fixture
def save(tmp_path):
    """Call it with a name and an image (or array): saves it and returns its path."""
    def write(name, image, **options):
        image = Image.fromarray(image) if isinstance(image, np.ndarray) else image
        image.save(tmp_path / name, **options)
        return tmp_path / name
    return write


def test_arrays():
    features = ImageFeatures()
    rows = features.fit_transform(GREY)
    assert features.shape_ == (3, 4) and features.blocks_ == ("gaussian:12",) and rows.dtype == np.uint8
    np.testing.assert_array_equal(rows, GREY.reshape(2, 12))
    assert list(features.get_feature_names_out()[[0, 3, 4]]) == ["pixel 0,0", "pixel 0,3", "pixel 1,0"]
    for same in (list(GREY), tuple(GREY), np.asfortranarray(GREY)):
        np.testing.assert_array_equal(ImageFeatures().fit_transform(same), rows)

    features = ImageFeatures().fit(COLOURFUL)
    assert features.shape_ == (2, 2, 3) and features.blocks_ == ("gaussian:12",)
    np.testing.assert_array_equal(features.transform(COLOURFUL), [RED + GREEN + BLUE + WHITE])
    assert list(features.get_feature_names_out()[[0, 5, 7]]) == ["pixel 0,0,red", "pixel 0,1,blue", "pixel 1,0,green"]


def test_colours():
    np.testing.assert_array_equal(ImageFeatures(colour="grey").fit_transform(COLOURFUL), AS_GREY)
    mixed = [np.array([[1, 2], [3, 4]], np.uint8), COLOURFUL[0]]
    kept = ImageFeatures().fit(mixed)  # one in colour makes all so
    np.testing.assert_array_equal(kept.transform(mixed), [np.repeat([1, 2, 3, 4], 3), COLOURFUL.reshape(-1)])
    np.testing.assert_array_equal(ImageFeatures(colour="rgb").fit_transform(mixed[:1]), [np.repeat([1, 2, 3, 4], 3)])
    np.testing.assert_array_equal(ImageFeatures().fit(mixed[:1]).transform(COLOURFUL), AS_GREY)  # as fit was


@pytest.mark.parametrize("name, image, expected", [
    ("grey.png", Image.fromarray(np.array([[0, 7]], np.uint8)), [0, 7]),
    ("bits.png", Image.fromarray(np.array([[0, 255]], np.uint8)).convert("1"), [0, 255]),
    ("deep.png", Image.fromarray(np.array([[0, 32896, 65535, 300]], np.uint16)), [0, 128, 255, 1]),
    ("deep.pgm", Image.fromarray(np.array([[0, 32896, 65535, 300]], np.uint16)), [0, 128, 255, 1]),
    ("colour.png", Image.fromarray(COLOURFUL[0]), RED + GREEN + BLUE + WHITE),
    ("cmyk.tif", Image.new("CMYK", (1, 1), (0, 255, 255, 0)), RED),
    ("palette.gif", Image.fromarray(COLOURFUL[0]).quantize(4), RED + GREEN + BLUE + WHITE),
    ("palette.png", Image.fromarray(np.array([[9, 9, 9], [200, 200, 200]], np.uint8)[None]).quantize(2), [9, 200]),
    ("alpha.png", Image.fromarray(np.array([[[255, 0, 0, 0], [0, 0, 255, 255], [0, 0, 0, 51]]], np.uint8)),
     WHITE + BLUE + [204] * 3),  # black at a fifth over white
    ("alpha-grey.png", Image.fromarray(np.array([[[0, 0], [9, 255], [0, 51]]], np.uint8), "LA"), [255, 9, 204]),
])
def test_modes_of_files(save, name, image, expected):
    path = save(name, image)
    features = ImageFeatures().fit([path])
    assert len(features.shape_) == (2 if len(expected) == image.width * image.height else 3)
    np.testing.assert_array_equal(features.transform([str(path)]), [expected])


def test_photos_are_upright(save):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: its left column is the top row
    stored = np.zeros((8, 16), np.uint8)
    stored[:, :8] = 255
    for name in ("photo.jpg", "photo.webp"):
        path = save(name, stored, exif=exif, **({"lossless": True} if name.endswith("webp") else {}))
        features = ImageFeatures(colour="grey").fit([path])
        assert features.shape_ == (16, 8)
        image = features.transform([path]).reshape(16, 8)
        assert image[:8].min() > 250 and image[8:].max() < 5


def test_resizing(save):
    big = np.zeros((8, 12), np.uint8)
    big[:, 6:] = 200
    board = np.indices((16, 16)).sum(axis=0) % 2 * np.uint8(255)
    features = ImageFeatures(size=(4, 6))
    rows = features.fit_transform([big, save("board.png", board.astype(np.uint8)), np.full((4, 6), 9, np.uint8)])
    assert features.shape_ == (4, 6) and rows.shape == (3, 24)
    image = rows[0].reshape(4, 6)
    assert (image[:, :2] == 0).all() and (image[:, 4:] == 200).all()
    assert abs(rows[1].astype(int) - 127).max() < 20  # smoothed, where single pixels would be 0 or 255
    assert (rows[2] == 9).all()
    assert features.transform(np.full((1, 3, 3), 5, np.uint8)).tolist() == [[5] * 24]


def test_inverse():
    features = ImageFeatures().fit(COLOURFUL)
    back = features.inverse_transform(features.transform(COLOURFUL))
    assert back.dtype == np.uint8
    np.testing.assert_array_equal(back, COLOURFUL)
    back = ImageFeatures().fit(GREY[:, :1]).inverse_transform(np.array([[-3, 1.4, 1.6, 300]], np.float32))
    np.testing.assert_array_equal(back, [[[0, 1, 2, 255]]])
    with pytest.raises(ValueError, match=r"shape \(1, 5\), but images of \(2, 2, 3\) need \(n, 12\)"):
        features.inverse_transform(np.zeros((1, 5)))


def test_clone_pipeline_and_saving():
    features = clone(ImageFeatures(size=(2, 2), colour="grey")).fit(COLOURFUL)
    content = skops.io.dumps(features)
    trusted = skops.io.get_untrusted_types(data=content)
    assert trusted == ["dec.data.transformers.image.ImageFeatures"]
    saved = skops.io.loads(content, trusted=trusted)
    np.testing.assert_array_equal(saved.transform(list(GREY)), features.transform(GREY))
    assert saved.shape_ == (2, 2) and saved.blocks_ == ("gaussian:4",) and saved.get_params() == features.get_params()
    assert make_pipeline(ImageFeatures(), MinMaxScaler()).fit_transform(GREY).max() == 1


@pytest.mark.parametrize("images, message", [
    (GREY / 255, r"dtype float64, but must be a path or uint8 of .*\(255 \* x\)"),
    (GREY.reshape(2, 12), r"image in row 0 has shape \(12,\)"),
    (np.zeros((2, 3, 4, 4), np.uint8), r"image in row 0 has shape \(3, 4, 4\)"),
    (np.zeros((0, 3, 4), np.uint8), "no images; give at least one"),
    ([], "no images"),
    ("folder/a.png", "one string, 'folder/a.png'; give a list"),
    ([GREY[0], GREY[0] / 255], "row 1 has shape .3, 4. and dtype float64"),
    ([GREY[0], 7], r"row 1 has shape \(\) and dtype int64, but must be a path or uint8"),
    ([GREY[0], GREY[1], GREY[1].T], r"image in row 2 is 4 x 3 .*image in row 0 is 3 x 4; .*size=\(3, 4\)"),
])
def test_bad_images(images, message):
    with pytest.raises(ValueError, match=message):
        ImageFeatures().fit(images)


def test_bad_files(save, tmp_path):
    good = save("good.png", np.random.default_rng(0).integers(0, 256, (30, 30), np.uint8))
    (tmp_path / "notes.png").write_text("no image")
    (tmp_path / "half.png").write_bytes(good.read_bytes()[:500])
    small = save("small.png", GREY[0])
    floats = save("floats.tif", np.ones((30, 30), np.float32))
    features = ImageFeatures()
    with pytest.raises(ValueError, match=r"row 1 .*notes\.png\) is no image that can be read"):
        features.fit([good, tmp_path / "notes.png"])
    with pytest.raises(FileNotFoundError, match=r"row 1 .*none\.png\) does not exist"):
        features.fit([good, tmp_path / "none.png"])
    with pytest.raises(ValueError, match=r"row 1 .*small\.png\) is 3 x 4 .*good\.png\) is 30 x 30.*size=\(30, 30\)"):
        features.fit([good, small])
    features.fit([good])
    with pytest.raises(ValueError, match=r"row 0 .*half\.png\) is no image that can be read"):
        features.transform([tmp_path / "half.png"])
    with pytest.raises(ValueError, match=r"row 0 .*floats\.tif\) .*floating-point"):
        features.transform([floats])
    with pytest.raises(ValueError, match=r"small\.png\) is 3 x 4 .*fit are 30 x 30; fit with size=\(30, 30\)"):
        features.transform([small])


def test_bad_options_and_unfitted():
    with pytest.raises(ValueError, match="colour='gray' is none of keep, grey, rgb"):
        ImageFeatures(colour="gray").fit(GREY)
    for size in (28, (28,), (0, 28), (2.5, 3)):
        with pytest.raises(ValueError, match=r"size=.* must be (\(height, width\)|tuple|int|at least 1)"):
            ImageFeatures(size=size).fit(GREY)
    with pytest.raises(ValueError, match=r"row 0 has shape .* dtype float64"):
        ImageFeatures().fit(GREY).transform(GREY / 255)
    assert ImageFeatures(size=(np.int64(2), 2)).fit(GREY).shape_ == (2, 2)
    unfitted = ImageFeatures()
    for method in (unfitted.transform, unfitted.inverse_transform, unfitted.get_feature_names_out):
        with pytest.raises(NotFittedError):
            method(GREY)
