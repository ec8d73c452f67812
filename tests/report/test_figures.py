"""What is in each figure: points, lines, labels and colours, not only that it can be drawn."""

import base64
import io
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from PIL import Image

from dec.data.views import to_bytes
from dec.report import figures, pictures, space
from dec.report.style import MISSING, NOISE, PALETTE, TRAINING, VALIDATION, colour, rendered, turn

# Machado, Oliveira & Fernandes 2009, severity 1, on linear RGB.
BLINDNESS = {
    "none": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}


def lab(linear):
    """CIE L*a*b* of linear RGB [n, 3], D65."""
    xyz = linear @ np.array([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.072175],
                             [0.0193339, 0.119192, 0.9503041]]).T / [0.95047, 1, 1.08883]
    f = np.where(xyz > 0.008856, np.cbrt(np.maximum(xyz, 1e-9)), 7.787 * xyz + 16 / 116)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1)


@pytest.mark.parametrize("eyes", BLINDNESS)
def test_colours_differ_to_all_eyes(eyes):
    rgb = np.array([to_rgb(tone) for tone in (*PALETTE, NOISE)])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = lab(np.clip(linear @ np.array(BLINDNESS[eyes]).T, 0, 1))
    distance = np.linalg.norm(seen[:, None] - seen[None], axis=2) + 1000 * np.eye(len(seen))
    assert distance.min() >= 16


def test_clusters_beyond_the_palette_repeat_colours_with_another_marker():
    assert [colour(j) for j in range(10)] == list(PALETTE)
    assert (colour(13), turn(13), turn(3)) == (colour(3), 1, 0)
    assert (colour(-1), turn(-1)) == (NOISE, 0)
    assert len({(colour(j), turn(j)) for j in range(-1, 60)}) == 61


def history():
    rows = [{"phase": "pretrain", "seed": s, "period": i, "loss": 2.0 / (1 + i) + s, "validation_loss": 2.5 / (1 + i),
             "learning_rate": 0.1} for s in (3, 4) for i in range(5)]
    rows += [{"phase": "cluster", "seed": s, "period": i, "loss": 0.5 + i, "clustering": 0.4, "reconstruction": 0.1,
              "change": 0.0 if i == 0 else 0.1 / i, "occupied": 4, "learning_rate": 0.1}
             for s in (3, 4) for i in range(3)]
    return pd.DataFrame(rows)


def test_losses():
    pretrain, cluster = figures.losses(history(), kept=4).axes
    assert (pretrain.get_title(), pretrain.get_xlabel(), cluster.get_xlabel()) == ("pretrain", "epoch", "refresh")
    assert [text.get_text() for text in pretrain.get_legend().get_texts()] == ["training", "validation"]
    assert [text.get_text() for text in cluster.get_legend().get_texts()] == ["training", "clustering",
                                                                              "reconstruction"]
    assert len(pretrain.lines) == 2 * 2 and len(cluster.lines) == 3 * 2
    thin, thick = pretrain.lines[0], pretrain.lines[1]  # of seeds 3 and 4
    np.testing.assert_allclose(thick.get_ydata(), 2 / np.arange(1, 6) + 4)
    assert thick.get_linewidth() > thin.get_linewidth() and list(thick.get_xdata()) == [1, 2, 3, 4, 5]
    assert pretrain.get_yscale() == cluster.get_yscale() == "log"
    scored = history().assign(accuracy=0.5, validation_accuracy=0.25)
    scored.loc[scored["phase"] == "cluster", ["accuracy", "validation_accuracy"]] = np.nan
    loss, accuracy, cluster = figures.losses(scored).axes
    assert [ax.get_ylabel() for ax in (loss, accuracy, cluster)] == ["loss", "accuracy", "loss"]
    assert len(loss.lines) == 2 * 2 and len(cluster.lines) == 3 * 2 and accuracy.get_ylim() == (0, 1)
    assert [(to_hex(line.get_color()), line.get_ydata()[0]) for line in accuracy.lines[::2]] == [
        (TRAINING, 0.5), (VALIDATION, 0.25)]
    negative = history().assign(loss=-1.0, validation_loss=np.nan)
    assert figures.losses(negative).axes[0].get_yscale() == "linear"


def test_refinement():
    change, occupied, rate = figures.refinement(history(), kept=4).axes
    assert list(change.lines[1].get_xdata()) == [2, 3]  # the first refresh has nothing to compare with
    np.testing.assert_allclose(change.lines[1].get_ydata(), [0.1, 0.05])
    assert occupied.get_title() == "clusters with rows" and set(occupied.lines[0].get_ydata()) == {4}
    assert rate.get_title() == "learning rate"
    still, *_ = figures.refinement(history().assign(change=0.0)).axes
    assert still.get_ylim() == (0, 1) and len(still.lines[0].get_xdata()) == 3
    once, *_ = figures.refinement(history().query("phase == 'cluster' and period == 0")).axes
    assert all(tick == round(tick) for tick in once.get_xticks())
    more = history().assign(smallest=3, largest=90)
    assert [ax.get_title() for ax in figures.refinement(more).axes][2:4] == ["smallest cluster", "largest cluster"]
    assert len(figures.losses(more).axes[1].lines) == 3 * 2  # sizes are no terms of the loss


def points_and_colours(ax):
    """Of all collections of points: how many, and their colours."""
    drawn = [c for c in ax.collections if len(c.get_offsets())]
    return sum(len(c.get_offsets()) for c in drawn), {to_hex(tone) for c in drawn for tone in c.get_facecolors()}


def test_the_map():
    rng = np.random.default_rng(0)
    clusters = np.arange(60) % 12 - 1
    names = np.array([f"_class ${number}$ <b>" for number in clusters], object)
    values = np.where(clusters == 2, np.nan, 0.5)
    figure = figures.scatter(rng.normal(size=(60, 2)), {
        "cluster": ("clusters", clusters), "class": ("classes", (clusters, names)), "x": ("values", values)}, "PCA")
    by_cluster, by_class, by_value = figure.axes[:3]
    assert points_and_colours(by_cluster) == points_and_colours(by_class) == (60, {colour(j) for j in range(-1, 11)})
    assert by_cluster.get_xlabel() == "PCA 1" and by_cluster.get_title() == "cluster"
    assert {text.get_text() for text in by_cluster.texts} == {"noise", *map(str, range(11))}
    assert [text.get_text() for text in by_class.get_legend().get_texts()] == sorted(set(names))
    assert points_and_colours(by_value)[0] == 60 and "#cccccc" in points_and_colours(by_value)[1]
    assert not by_cluster.collections[0].get_rasterized()
    many = figures.scatter(rng.normal(size=(1001, 2)), {"cluster": ("clusters", np.zeros(1001, int))}, "PCA")
    assert many.axes[0].collections[0].get_rasterized()


def test_the_same_rows_before_and_after():
    rng, clusters = np.random.default_rng(0), np.arange(30) % 3
    both = rng.normal(size=(2, 30, 2))
    figure = figures.scatter(both, {"before": ("clusters", clusters), "after": ("clusters", clusters)}, "PCA")
    for ax, points in zip(figure.axes, both):
        drawn = ax.collections[0]
        order = np.lexsort(np.asarray(drawn.get_offsets()).T)
        expected = np.lexsort(points.T)
        np.testing.assert_array_equal(np.asarray(drawn.get_offsets())[order], points[expected])
        assert [to_hex(tone) for tone in drawn.get_facecolors()[order]] == [colour(c) for c in clusters[expected]]


def test_a_cluster_has_its_colour_in_every_figure():
    clusters, one = np.array([0, 1, 2, 2]), np.ones((4, 3, 3), np.uint8)
    in_map = {to_hex(c) for c in figures.scatter(np.ones((4, 2)), {"c": ("clusters", clusters)}, "PCA")
              .axes[0].collections[0].get_facecolors()}
    bars = [to_hex(bar.get_facecolor()) for bar in figures.sizes([1, 1, 2]).axes[0].patches]
    ticks = pictures.image_grid([one, one, one], [0, 1, 2], None).axes[0].get_yticklabels()
    grid = [to_hex(tick.get_bbox_patch().get_facecolor()) for tick in ticks]
    curves = pictures.mean_curves([pictures.Curves("a", j, np.ones((2, 5)), np.ones((1, 5))) for j in range(3)],
                                  "value", share=True)
    lines = [to_hex(ax.lines[-1].get_color()) for ax in curves.axes]
    against = figures.against_the_rest([figures.Against("x", 2, np.arange(3.0), np.arange(9.0), False)]).axes[0]
    assert bars == grid == lines == [colour(j) for j in range(3)] and in_map == set(bars)
    assert colour(2) in {to_hex(patch.get_facecolor()) for patch in against.patches}


def test_sizes_with_noise():
    (ax,) = figures.sizes([5, 0, 1200], noise=3).axes
    assert [bar.get_height() for bar in ax.patches] == [5, 0, 1200, 3]
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["0", "1", "2", "noise"]
    assert "1,200" in {text.get_text() for text in ax.texts}


def test_confusion():
    ax = figures.confusion([[8, 2], [0, 5]], ["cat", "a very long name of a class indeed"], [1, 0]).axes[0]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("cluster", "class")
    assert sorted(int(text.get_text()) for text in ax.texts) == [2, 5, 8]
    np.testing.assert_allclose(ax.images[0].get_array(), [[0.8, 0.2], [0, 1]])
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["cat", "a very long name of a class…"]


def test_heatmap():
    ax = figures.heatmap([[1.0, -2.0], [np.nan, 0.5]], ["price", "rating"], ["0", "1"], "sd").axes[0]
    assert ax.images[0].get_clim() == (-2, 2)
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["price", "rating"]


def test_against_the_rest():
    brands = np.array(["Nokia", "Nokia", "Sony"], object)
    figure = figures.against_the_rest([
        figures.Against("price $", 1, np.array([1.0, 10, 1000, np.nan]), np.geomspace(1, 1e4, 50), True),
        figures.Against("brand", 3, brands, np.array(["Sony"] * 4, object), False)])
    price, brand = figure.axes
    assert (price.get_xscale(), price.get_title()) == ("log", "price $")
    heights = np.array([patch.get_height() for patch in price.patches])
    assert heights[:24].sum() == pytest.approx(1) and heights[24:].sum() == pytest.approx(1)
    assert [tick.get_text() for tick in brand.get_yticklabels()] == ["Nokia", "Sony"]
    np.testing.assert_allclose([bar.get_width() for bar in brand.patches], [2 / 3, 1 / 3, 0, 1])
    assert [colour(c) in {to_hex(patch.get_facecolor()) for patch in ax.patches}
            for c in (1, 3) for ax in (price, brand)] == [True, False, False, True]
    many = np.array(["<b>", *"abcdefghij"], object)
    (ax,) = figures.against_the_rest([figures.Against("x", 0, many[:7], many[7:], False)]).axes
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["<b>", *"abcdghi"][:5] + list("ghij")[:3]


def test_scores_and_time():
    found = {"kmeans": [0.5, 0.6], "dec": [0.7] * 6, "all failed": []}
    (ax,) = figures.boxes(found, "ARI").axes
    assert [tick.get_text() for tick in ax.get_xticklabels()] == list(found)
    assert [len(c.get_offsets()) for c in ax.collections] == [2, 6, 0] and ax.get_ylabel() == "ARI"
    (ax,) = figures.boxes({"two": [0.5, 0.6], "three": [0.7, 0.9, 0.8]}, "ARI").axes
    assert len(ax.lines) == 6 and set(ax.lines[-1].get_ydata()) == {0.8}  # one box with its median
    (ax,) = figures.time_and_quality({"kmeans": 0.1, "dec": 50.0, "all failed": 1.0}, found, "ARI").axes
    assert {text.get_text() for text in ax.texts} == {"kmeans", "dec"} and ax.get_xscale() == "log"


def test_mosaic_and_strip():
    images = np.arange(3, dtype=np.uint8)[:, None, None] * np.ones((3, 2, 2), np.uint8)
    sheet = pictures.mosaic(images, columns=2)
    w = 255
    assert sheet.shape == (5, 5, 3)
    np.testing.assert_array_equal(sheet[..., 0], [
        [0, 0, w, 1, 1], [0, 0, w, 1, 1], [w] * 5, [2, 2, w, w, w], [2, 2, w, w, w]])
    with Image.open(io.BytesIO(base64.b64decode(pictures.png(pictures.mosaic(images, 3))))) as png:
        np.testing.assert_array_equal(np.asarray(png), pictures.mosaic(images, 3))
    np.testing.assert_array_equal(to_bytes(np.array([[-1.0, 0, 8, 16, 99, np.nan]]), 0, 16),
                                  [[0, 0, 128, 255, 255, 255]])


def test_image_grid_and_reconstructions():
    images = np.arange(5, dtype=np.uint8)[:, None, None] * np.ones((5, 4, 4), np.uint8)
    (ax,) = pictures.image_grid([images, images[:2]], [0, 7], images[:2]).axes
    shown = ax.images[0].get_array()
    assert shown.shape == (9, 7 * 5 - 1, 3)
    assert (shown[0, 0, 0], shown[0, 10, 0], shown[5, 0, 0], shown[5, 20, 0]) == (0, 0, 1, 255)
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["0", "7"]
    figure = pictures.reconstructed_images({"at random": (images, images, images), "worst": (images,) * 3})
    assert [ax.get_title() for ax in figure.axes] == ["at random", "worst"]
    assert [tick.get_text() for tick in figure.axes[0].get_yticklabels()] == ["input", "output", "difference"]
    curves = pictures.reconstructed_curves({"worst": (np.ones((2, 9)), np.zeros((2, 9)))})
    assert [len(ax.lines) for ax in curves.axes] == [2, 2]


def test_the_picture_that_turns(monkeypatch):
    assert (space.STEP, space.FRAMES_A_SECOND) == (3, 12)
    monkeypatch.setattr(space, "STEP", 90)  # to be quick
    points = np.random.default_rng(0).normal(size=(50, 3))
    groups = np.arange(50) % 12 - 1
    for values in (None, np.where(groups < 0, np.nan, groups)):
        made = space.turning(points, groups, list(map(str, groups)), "codes $x^{", values)
        with Image.open(io.BytesIO(made)) as gif:
            assert (gif.n_frames, gif.info["duration"], gif.info["loop"]) == (4, 80, 0)  # in hundredths of a second
            shown = np.asarray(gif.convert("RGB")).reshape(-1, 3)
            for tone in map(colour, groups[:12]) if values is None else ():  # few pixels, whose colours are kept
                assert np.abs(shown - 255 * np.array(to_rgb(tone))).max(axis=1).min() < 16
            gif.seek(1)
            assert (shown != np.asarray(gif.convert("RGB")).reshape(-1, 3)).any()


def test_what_the_picture_that_turns_shows(monkeypatch):
    """Rows without a value are grey, not left out; colours have a bar or a legend."""
    monkeypatch.setattr(space, "STEP", 180)
    drawn, make = [], Figure.add_subplot
    monkeypatch.setattr(Figure, "add_subplot", lambda self, *a, **b: drawn.append(self) or make(self, *a, **b))
    values = np.array([1.0, np.nan, 3])
    for by in (None, values):
        space.turning(np.eye(3), np.array([0, 0, 4]), ["a", "a", "<b>"], "t", by)
    groups, numbers = drawn
    assert [text.get_text() for text in groups.legends[0].get_texts()] == ["a", "<b>"] and len(numbers.axes) == 2
    assert [len(c.get_offsets()) for c in groups.axes[0].collections] == [2, 1]
    assert [len(c.get_offsets()) for c in numbers.axes[0].collections] == [1, 2]
    assert to_hex(numbers.axes[0].collections[0].get_facecolors()[0]) == MISSING


def test_the_page_to_turn():
    pytest.importorskip("plotly")
    groups = np.array([0, 0, 1, -1])
    legend = [f"<b>{group}" for group in groups]
    page = space.interactive(np.eye(4)[:, :3], groups, legend, ["<script>", "b", "c", "d"], "<i>t")
    assert '"modeBarButtonsToRemove": ["sendChartToCloud"]' in page  # nothing is uploaded
    data = page[page.rindex("Plotly.newPlot("):]
    for tone in (colour(0), colour(1), NOISE, "&lt;script&gt;", "&lt;b&gt;-1", "&lt;i&gt;t"):
        assert tone in data
    assert "<script>" not in data and '"text":["&lt;script&gt;","b"]' in data
    assert "plotly_hover" not in data and "customdata" not in data and '"itemclick":"toggleothers"' in data
    by_value = space.interactive(np.eye(4)[:, :3], groups, legend, list("abcd"), "t", np.array([1, 2, np.nan, 4]))
    by_value = by_value[by_value.rindex("Plotly.newPlot("):]  # in grey rather than left out where it is missing
    assert by_value.count('"coloraxis":"coloraxis"') == 2 and f'"color":"{MISSING}"' in by_value
    assert '"name":"missing"' in by_value
    image = np.arange(60, dtype=np.uint8).reshape(1, 60) * np.ones((60, 1), np.uint8)
    seen = np.array([pictures.png(image[:2, :2], 48), pictures.png(image, 48), "", ""], object)
    with Image.open(io.BytesIO(base64.b64decode(seen[0]))) as small, Image.open(
            io.BytesIO(base64.b64decode(seen[1]))) as large:
        assert np.asarray(small).tolist() == [[0, 1], [0, 1]] and large.size == (48, 48)
    page = space.interactive(np.eye(4)[:, :3], groups, legend, ["a\nb <i>", "b", "c", "d"], "t", pictures=seen)
    assert "plotly_hover" in page and f'"customdata":["{seen[0]}"' in page and "a\\u003cbr\\u003eb &lt;i&gt;" in page
    assert sum(data.count(f'"name":"&lt;b&gt;{group}"') for group in (-1, 0, 1)) == 3


def test_mean_curves_leave_missing_steps_out():
    curves = np.array([[1.0, 2, np.nan], [3, 2, np.nan], [2, 5, 4]])
    (ax,) = pictures.mean_curves([pictures.Curves("c", 3, curves, curves[:2])], "value", share=False).axes
    np.testing.assert_allclose(ax.lines[-1].get_ydata(), [2, 3, 4])
    assert len(ax.lines) == 3 and (ax.get_xlabel(), ax.get_ylabel(), ax.get_title()) == ("step", "value", "c")


def test_names_are_text_in_every_file():
    """Dollar signs are no formulas, and markup is escaped."""
    def make():
        return figures.heatmap([[1.0]], ["<script>alert(1)</script> $x^{\0"], ["0"], "sd")

    svg = rendered(make(), "svg")
    assert ElementTree.fromstring(svg).tag.endswith("svg") and b"<script>alert(1)</script>" not in svg
    assert rendered(make(), "svg") == svg
    assert rendered(make(), "pdf").startswith(b"%PDF")
    with Image.open(io.BytesIO(rendered(make(), "png"))) as png:
        assert png.width == round(300 * make().get_figwidth())
