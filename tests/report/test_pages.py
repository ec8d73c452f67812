"""Reports of small real runs of every kind: what is told, that it is sound HTML, and that text stays text."""

import base64
import html.parser
import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest
from command_line import run
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

from dec.data.readers import load
from dec.io import read_arrays
from dec.methods.base import UnitMap
from dec.report import maps, material, methods, space
from dec.report.comparison import latex, scores_frame
from dec.report.comparison import sentence as said
from dec.report.material import read_run
from dec.report.run import baselines, cautions, seeds, sentence

EVIL = "<script>alert(1)</script>"
FILE = EVIL.replace("/", "")
TINY = ["--hidden", "16", "--code-size", "2", "--pretraining.epochs", "5", "--batch-size", "32", "--quiet"]
VOID = {"meta", "img", "br", "link", "hr", "input"}


class Page(html.parser.HTMLParser):
    """A page taken apart; fails where a tag is not closed or an id is there twice."""

    def __init__(self, path):
        super().__init__()
        self.open, self.tags, self.words, self.sources, self.ids = [], [], [], [], []
        self.source = path.read_text()
        self.feed(self.source)
        self.close()
        assert not self.open and len(self.ids) == len(set(self.ids))
        self.text = re.sub(r"\s+", " ", " ".join(self.words))
        assert all(source.startswith(("data:", "#")) or "://" not in source for source in self.sources)
        assert "script" not in self.tags and "url(" not in self.source and "@import" not in self.source

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.ids += [value for name, value in attributes if name == "id"]
        self.sources += [value for name, value in attributes if name in ("src", "href", "srcset", "action")]
        if tag == "img":
            assert dict(attributes)["alt"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "title"):
            self.words.append(data)

    def svgs(self):
        """The vector figures in the page."""
        return [base64.b64decode(source.partition(",")[2]) for source in self.sources if "svg" in source[:20]]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reports")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEC_CACHE", str(folder / "cache"))
        patch.chdir(folder)
        yield folder


def trained(place, name, *words):
    out = place / name
    status, _, err = run("train", *words, *TINY, "--out", out)
    assert status == 0, err
    return out


def report(folder, *words):
    status, out, err = run("report", folder, "--formats", "svg", *words)
    assert (status, out.strip()) == (0, str(folder / "report.html")), err
    return Page(folder / "report.html")


@pytest.fixture(scope="module")
def digits(place):
    """Without a network; tests/test_runs.py reports on one with all phases."""
    return trained(place, "digits", "kmeans", "--data", "digits", "--limit", 200, "--seeds", 3)


def test_images(digits):
    page = report(digits)
    for words in ("kmeans put 200 rows of digits into 10 clusters", "over 3 seeds: ACC", "95 % interval",
                  "Recall in per cent", "Farthest from the centre", "Set apart by: ", "numpy 2"):
        assert words in page.text
    assert "Most doubtful" not in page.text and "mean confidence" not in page.text  # k-means is never in doubt
    assert page.tags.count("article") == 10 == len([i for i in page.ids if i.startswith("cluster-")])
    assert page.tags.count("h2") == 6 and "one seed only" not in page.text
    expected = {"sizes", "members", "heatmap", "map_pca", "map_tsne", "confusion"}
    assert {path.stem for path in (digits / "figures").iterdir()} == expected
    assert len(page.svgs()) == len(expected)
    found, labels = read_run(digits), pd.read_csv(digits / "labels.csv")
    odd = labels.nlargest(20, "anomaly")["row"]
    rows = re.findall(r'<th scope="row">(\d+)</th><td class="number">\d</td>', page.source.split("Outliers</h2>")[1])
    assert list(map(int, rows)) == list(odd)
    assert (digits / "report.html").stat().st_size < 3e6
    images = found.view.decode(found.x(np.array([3, 1])))
    np.testing.assert_array_equal(images[1], np.round(load("digits", 200).x[1] * (255 / 16)).astype(np.uint8))


def test_of_many_rows_a_sample_is_looked_at(digits, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    shutil.copytree(digits, folder)
    monkeypatch.setattr(material, "MOST_ROWS", 60)
    found, page = read_run(folder), report(folder, "--map", "pca")
    assert found.rows.shape == (60,) and found.codes.shape == (60, 64) and len(found.labels) == 200
    np.testing.assert_array_equal(found.codes, np.load(folder / "embedding.npy")[found.rows])
    np.testing.assert_array_equal(found.y, load("digits", 200).y[found.rows])
    (folder / "embedding.npy").unlink()  # as of large input that is clustered as it is
    np.testing.assert_allclose(read_run(folder).codes, found.codes, atol=1e-6)
    assert "is from a uniform sample of 60 of 200" in page.text and "A uniform sample of 60 of 200 rows." in page.text
    counts = found.labels["cluster"].value_counts()
    for cluster in found.largest:
        assert f"Cluster {cluster} has {counts[cluster]} of 200 rows" in page.text


def test_without_the_data_what_can_be_told_is_told(digits, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    shutil.copytree(digits, folder)
    config = (folder / "config.json").read_text()
    (folder / "config.json").write_text(config.replace('"limit": 200', '"limit": 199'))
    page = report(folder, "--map", "pca")
    assert "The data could not be read again (digits is no longer the data of this run)" in page.text
    assert "Clusters and classes" in page.text and "Recall" in page.text and page.tags.count("article") == 10
    assert "No measure" not in page.text  # nothing was measured
    (folder / "config.json").write_text(config.replace('"data": "digits"', '"data": "gone.csv"'))
    assert any("gone.csv" in line for line in cautions(read_run(folder)))
    status, _, err = run("report", folder, "--colour", "price")
    assert status == 2 and "no column 'price' in labels.csv, and the data could not be read" in err


def test_a_run_that_failed_says_so(digits, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(digits, folder)
    text = (folder / "metrics.json").read_text()
    (folder / "metrics.json").write_text(
        text.replace('"ok"', '"failed"', 1).replace('"reason": "clusters of the start"', f'"reason": "NaN {EVIL}"', 1))
    found = read_run(folder)
    assert f"1 of 3 seeds failed, and are in no mean: seed 0 (NaN {EVIL})." in cautions(found)
    assert "over 2 seeds" in sentence(found) and ["mean", "2 ok"] in [row[:2] for row in seeds(found)[0].rows]
    metrics = json.loads((folder / "metrics.json").read_text())
    for row in metrics["seeds"]:
        row["agreement"] = 0.3
    (folder / "metrics.json").write_text(json.dumps(metrics))
    assert any("unstable" in line and "0.30" in line for line in cautions(read_run(folder)))


def test_tables(place, monkeypatch):
    rng, n = np.random.default_rng(0), 90
    group = np.arange(n) % 2
    pd.DataFrame({"id": [f"<b>{i}" for i in range(n)], "price $x^{": np.round(rng.normal(10 + 50 * group, 5), 2),
                  "void": "", "code": np.where(np.arange(n) < 3, "7", "N<b>"),
                  EVIL: np.where(group, EVIL, "plain"), "day": np.where(group, "2020-01-05", "2021-03-01"),
                  "note": [f"{'ship ocean' if g else 'oven bread'} {i} of it" for i, g in enumerate(group)],
                  }).to_csv(place / f"{FILE}.csv", index=False)
    out = trained(place, "table", "kmeans", "--data", f"{FILE}.csv", "--id", "id", "--n-clusters", 2,
                  "--kinds", "note=text", "--keep", "code", "--drop", "code")
    monkeypatch.setattr(space, "STEP", 90)  # to be quick
    page = report(out, "--colour", "price $x^{", EVIL, out, "--map", "pca", "gif", "--elbow", 5)
    assert f"{EVIL} = {EVIL} in 100% (elsewhere 0%)" in page.text
    assert "price $x^{ much higher" in page.text and "<b>" in page.text
    assert "the words" in page.text and "ocean" in page.text and "There is one seed only" in page.text
    assert re.search(r"20\d\d-\d\d-\d\d in the median", page.text)
    assert re.search(r"Most typical row note.* (ship ocean|oven bread) \d+ of it", page.text)  # what set it apart
    expected = {"cluster_0", "cluster_1", "heatmap", "elbow", "column_price_x_"}
    assert expected <= {path.stem for path in (out / "figures").iterdir()}
    assert f"{EVIL} in each cluster" in page.text and f"{out} in each cluster" not in page.text
    assert all(b"<script" not in svg for svg in page.svgs())
    linked = {source for source in page.sources if source.endswith(".gif")}
    assert {"figures/codes_3d_cluster.gif", "figures/codes_3d_price_x_.gif"} < linked and len(linked) == 4
    assert all((out / source).is_file() for source in linked)
    found = read_run(out)
    assert np.isnan(found.column("void")).all()  # is no feature, but a column of the data
    assert list(found.column("code")[:4]) == ["7"] * 3 + ["N<b>"]  # one that is no number makes all of them names
    blocks = methods.units(found, methods.Page(out, ["svg"]), UnitMap(2, 3, found.codes[:6], np.arange(6) % 2))
    assert len(blocks) == 2 and (out / "figures/units.svg").is_file() and (out / "figures/planes.svg").is_file()
    found.model.sample = lambda n, cluster: found.x(found.members[cluster].nearest[:n])
    (made,) = methods.generated(found, None)
    assert [row[0] for row in made.rows] == ["0"] * 3 + ["1"] * 3 and EVIL in made.header
    assert {row[made.header.index(EVIL)] for row in made.rows} == {"plain", EVIL}
    status, _, err = run("report", out, "--colour", "prise")
    assert status == 2 and "column to colour by" in err and "price" in err


def test_a_map_is_coloured_by_another_run_of_the_same_rows(digits, place):
    found = read_run(digits)
    other = pd.read_csv(digits / "labels.csv").assign(cluster=lambda table: 9 - table["cluster"])
    shutil.copytree(digits, place / "other")
    other.to_csv(place / "other" / "labels.csv", index=False)
    np.testing.assert_array_equal(found.elsewhere(place / "other"), 9 - found.clusters)
    assert maps._colouring(found, str(place / "other"), np.array([3, 1]))[0] == "clusters"
    other[:-1].to_csv(place / "other" / "labels.csv", index=False)
    status, _, err = run("report", digits, "--colour", place / "other", "--map", "pca", "--formats", "svg")
    assert status == 2 and "is a run on 199 rows of digits" in err


def test_texts(place):
    rng = np.random.default_rng(0)
    words = [["ocean", "ship", "sailor", "harbour"], ["oven", "flour", "butter", "sugar"]]
    frame = pd.DataFrame({"text": [" ".join(rng.choice(words[i % 2], 12)) + f" {EVIL}" for i in range(60)]})
    frame.to_csv(place / "texts.csv", index=False)
    page = report(trained(place, "texts", "kmeans", "--data", "texts.csv", "--n-clusters", 2), "--map", "pca")
    (sea,) = [text for text in page.words if "Set apart by" in text and "ocean" in text]
    assert not any(word in sea for word in words[1])
    assert EVIL in page.text and re.search(r"row \d+: [a-z ]+ <script>", page.text)


def test_sequences(place):
    rng = np.random.default_rng(0)
    for i in range(40):  # of 12 to 24 steps: filled up and masked
        time = np.arange(rng.integers(12, 25)) * np.pi / 6
        where = place / "steps" / f"{FILE} {i % 2}"
        where.mkdir(parents=True, exist_ok=True)
        np.save(where / f"{i:02d}.npy", np.sin(time)[:, None] * [1, 3 if i % 2 else 1])
    out = trained(place, "sequences", "desom", "--height", 2, "--width", 3, "--refinement.steps", 3, "--data", "steps")
    page = report(out, "--map", "pca")
    assert "The same 40 rows in the same colours" in page.text
    for words in ("Mean of channel 1", "variation of channel 1", f"{FILE} 0/", "the scaled input"):
        assert words in page.text
    expected = {"mean_curves", "cluster_0", "cluster_1", "reconstruction", "refined_pca", "units", "prototypes"}
    assert expected <= {path.stem for path in (out / "figures").iterdir()}
    found = read_run(out)
    (network,) = (place / "cache" / "pretrained").iterdir()
    arrays, _ = read_arrays(network)
    codes = found.model.fit_.scaling.apply(found.x(np.arange(40))).astype(float)
    for layer, act in (("params/encoder_0", lambda z: np.maximum(z, 0)), ("params/encoder_1", lambda z: z)):
        codes = act(codes @ arrays[f"{layer}/kernel"].astype(float) + arrays[f"{layer}/bias"])
    np.testing.assert_allclose(np.load(out / "embedding_pretrained.npy"), codes, atol=1e-4)
    assert not np.allclose(codes, found.codes, atol=1e-3)


def test_arrays_noise_and_a_method_on_the_input(place):
    rng = np.random.default_rng(0)
    np.save(place / "x.npy", np.concatenate([rng.normal(0, 0.1, (30, 3)), rng.normal(5, 0.1, (30, 3)), [[9.0] * 3]]))
    out = trained(place, "dbscan", "dbscan", "--data", "x.npy", "--n-clusters", 2)
    page = report(out, "--map", "pca")
    assert re.search(r"\d of 61 rows are noise", page.text) and "column 0 much higher" in page.text
    assert "Nothing was trained" in page.text and "Reconstruction" not in page.text


def test_rows_that_are_all_alike_have_a_report(place):
    """No seed gives a clustering, and no map can tell the rows apart."""
    np.save(place / "alike.npy", np.ones((30, 3)))
    with pytest.warns(UserWarning, match="No seed gave a clustering"):
        run("train", "kmeans", "--data", "alike.npy", "--n-clusters", 3, *TINY, "--out", place / "alike")
    page = report(place / "alike")
    assert "there is no clustering" in page.text and "(kept)" not in page.text and "kept is" not in page.text


@pytest.fixture(scope="module")
def compared(place):
    out = place / "compared"
    status, _, err = run("compare", "--data", "digits", "--limit", 150, "--methods", "kmeans", "agglomerative",
                         "--seeds", 2, "--quiet", "--out", out)
    assert status == 0, err
    return out


def test_comparison(compared):
    page = report(compared)
    for words in ("2 methods on digits", "has the highest mean ARI", "ARI over k-means", "paired t", "p (Holm)",
                  f"dec report {compared / 'kmeans'}"):
        assert words in page.text
    assert {path.stem for path in (compared / "figures").iterdir()} == {"scores", "time"}
    frame = pd.read_csv(compared / "table.csv")
    assert list(frame["method"]) == ["kmeans", "agglomerative"] and (frame["failed"] == 0).all()
    row = frame.iloc[1]
    assert f"{100 * row['ari']:.1f} ± {100 * row['ari_sd']:.1f}" in page.text
    assert "toprule" in (compared / "table.tex").read_text() and "| kmeans" in (compared / "table.md").read_text()
    metrics = compared / "agglomerative" / "metrics.json"
    text = metrics.read_text()
    metrics.write_text(text.replace('"method": "agglomerative"', '"method": "kmeans"'))  # as a sweep of one method is
    assert "2 runs on digits" in report(compared).text
    metrics.write_text(text)
    report(compared / "kmeans", "--map", "pca")
    assert "kmeans/report.html" in report(compared).sources
    status, _, err = run("report", compared, "--map", "pca")
    assert status == 2 and "are for single runs" in err


def test_the_best_of_a_table_may_be_several():
    def cell(*scores):
        return {"seeds": [{"seed": i, "status": "ok", "agreement": value} for i, value in enumerate(scores)]}

    found = said({"a": cell(1.0, 1.0), "b": cell(0.5, 0.75), "c": cell(1.0, 1.0)}, "agreement")
    assert found.startswith("a, c have the highest mean agreement between seeds (ARI), 100.0 ± 0.0 % over 2 seeds; the "
                            "others: b 62.5.")
    assert said({"a": cell()}, "agreement") == "No seed of any method gave a score."


def test_baselines_of_the_run(digits, tmp_path):
    """k-means on the input scores as scikit-learn's own does; the improvement is (new - old) / old."""
    folder = tmp_path / "run"
    shutil.copytree(digits, folder)
    found = read_run(folder)
    assert baselines(found) == []  # no network
    codes = np.arange(200.0)[:, None]
    np.save(folder / "embedding_pretrained.npy", codes)
    (block,) = baselines(read_run(folder))
    own = adjusted_rand_score(found.y, found.clusters)
    old = adjusted_rand_score(found.y, KMeans(10, n_init=5, random_state=0).fit_predict(codes))
    row = block.rows[1]
    assert row[0] == "k-means on the codes before refinement" and row[3] == f"{100 * old:.1f}"
    assert row[-1] == f"{100 * (own - old) / abs(old):+.1f} %" and block.rows[2][3] == f"{100 * own:.1f}"


def test_a_table_with_a_failed_cell():
    """Failures are counted, and a mean is of the others."""
    def seed(number, **more):
        return {"seed": number, "reason": "", "occupied": 3, "status": "ok"} | more

    seconds = {"compile": 1.0, "pretrain": 2.0, "cluster": 3.0}
    cells = {"a_b & 50%": {"method": "dec", "seconds": seconds, "seeds": [
        seed(0, acc=0.5, nmi=0.5, ari=0.25, ami=0.5), seed(1, status="failed")]},
        "gone": {"method": "idec", "seconds": seconds, "seeds": [seed(0, status="failed")]}}
    frame = scores_frame(cells, "ari")
    assert list(frame["failed"]) == [1, 1] and frame["ari"][0] == 0.25 and np.isnan(frame["ari"][1])
    text = latex(frame)
    assert r"a\_b \& 50\%" in text and r"\textbf{25.0}" in text and "1/2" in text and "--" in text
