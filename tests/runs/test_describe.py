"""`dec describe`: what becomes of the data, and the layers, without training."""

from xml.etree import ElementTree

import pandas as pd
from command_line import run

from dec.report.architecture import drawn
from dec.runs.describe import Description, as_text


def test_a_table(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pd.DataFrame({"price": [1.5, 2.5, None, 4.5] * 5, "brand": ["Nokia", "Sony", "<b>", "Sony"] * 5}).to_csv(
        "items.csv", index=False)
    words = ("describe", "idec", "--data", "items.csv", "--hidden", "7", "--code-size", 2,
             "--kinds", "brand=category")
    status, out, err = run(*words, "--n-clusters", 3, "--out", "way.svg")
    assert (status, err) == (0, "")
    for line in ("number: price → SimpleImputer → StandardScaler → 1", "missing: whether missing → ",
                 "category: brand → SimpleImputer → OneHotEncoder → 3", "20 rows of 5 numbers, scaling: power",
                 "code of 2", "idec: 3 clusters"):
        assert line in out
    assert "| encoder_0 |    5x7 |         42 |" in out  # 5 * 7 weights and 7 biases
    assert "| total     |        |        119 |" in out  # 42 + 7 * 2 + 2 + 2 * 7 + 7 + 7 * 5 + 5
    assert ElementTree.parse("way.svg").getroot().tag.endswith("svg")
    assert run(*words, "--out", "way.svg")[0] == 2  # it is there already
    status, _, err = run(*words, "--out", "way.png")
    assert status == 2 and "--out way.png must end in .svg" in err
    assert "idec, with --n-clusters" in run(*words)[1]
    status, _, err = run(*words, "--code-size", 2, 3)
    assert status == 2 and "one value of each option" in err


def test_without_a_network():
    status, out, _ = run("describe", "kmeans", "--data", "digits")
    assert status == 0 and "kmeans: 10 clusters" in out and "layer" not in out


def test_the_drawing_has_every_step():
    found = Description([["data"], ["number: price", "category: <brand> $x^{"], ["encoder_0  3x2  8 parameters"]],
                        [("encoder_0", "3x2", 8)])
    texts = [text.get_text() for text in drawn(found).axes[0].texts if text.get_text()]
    assert texts == ["data", "number: price", "category: <brand> $x^{", "encoder_0  3x2  8 parameters"]
    assert as_text(found).splitlines()[:3] == ["data", "  ↓", "number: price"]
