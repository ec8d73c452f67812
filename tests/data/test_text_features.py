"""Texts as rows of words: hand-counted rows, HTML, every kind, saving, errors; and the real reviews."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler

from dec.data.transformers.text import TextFeatures

REVIEWS = Path(os.environ.get("DEC_DATA", "")) / "imdb" / "IMDB Dataset.csv.gz"
TEXTS = ["The ship sank.<br /><br />Ship &amp; crew lost", "", "crew of the SHIP", "an island"]


def test_counts_by_hand():
    features = TextFeatures()
    rows = features.fit_transform(TEXTS)
    assert rows.format == "csr" and rows.dtype == np.float32
    assert list(features.get_feature_names_out()) == ["crew", "island", "lost", "sank", "ship"]
    np.testing.assert_array_equal(rows.toarray(), [[1, 0, 1, 1, 2], [0] * 5, [1, 0, 0, 0, 1], [0, 1, 0, 0, 0]])
    np.testing.assert_array_equal(features.transform(["unseen ship"]).toarray(), [[0, 0, 0, 0, 1]])
    assert features.blocks_ == ("poisson:5",)


def test_tfidf_by_hand():
    features = TextFeatures("tfidf")
    rows = features.fit_transform(TEXTS).toarray()
    idf = np.log(5 / (1 + np.array([2, 1, 1, 1, 2]))) + 1  # smooth: one more text that has every word
    expected = np.array([1, 0, 1, 1, 2]) * idf
    np.testing.assert_allclose(rows[0], expected / np.linalg.norm(expected), rtol=1e-6)
    assert features.blocks_ == ("gaussian:5",) and rows.dtype == np.float32


def test_hashing_by_properties():
    features = TextFeatures("hashing", vocabulary=7)
    rows = features.fit_transform(TEXTS)
    assert rows.shape == (4, 7) and rows.dtype == np.float32 and rows.min() == 0  # no signs
    np.testing.assert_allclose(np.linalg.norm(rows.toarray(), axis=1), [1, 0, 1, 1], rtol=1e-6)
    unseen = features.transform(["submarine", "<i>Submarine</i>"]).toarray()
    assert unseen[0].sum() == 1 and (unseen[0] == unseen[1]).all()
    assert features.blocks_ == ("gaussian:7",) and features.get_feature_names_out()[6] == "bucket 6"


def test_markup_is_removed_and_the_rest_kept():
    text = 'good<br/>bad <a href="http://x.org/page">link</a> <!-- aside --> caf&eacute; &lt;code&gt; x1 <3 y2 > z3'
    words = TextFeatures(stop_words=False).fit([text]).get_feature_names_out()
    assert list(words) == ["bad", "café", "code", "good", "link", "x1", "y2", "z3"]


def test_options():
    assert list(TextFeatures(vocabulary=2).fit(TEXTS).get_feature_names_out()) == ["crew", "ship"]  # most frequent
    assert {"an", "of", "the"} < set(TextFeatures(stop_words=False).fit(TEXTS).get_feature_names_out())


@pytest.mark.parametrize("text", ["counts", "tfidf", "hashing"])
def test_inputs_clone_pipeline_and_saving(text):
    features = clone(TextFeatures(text, vocabulary=9, stop_words=False))
    rows = features.fit_transform(TEXTS)
    assert features.get_params() == {"text": text, "vocabulary": 9, "stop_words": False, "truncate": None}
    content = skops.io.dumps(features)
    trusted = skops.io.get_untrusted_types(data=content)
    assert trusted == ["dec.data.transformers.text.TextFeatures"]
    saved = skops.io.loads(content, trusted=trusted)
    assert saved.blocks_ == features.blocks_
    np.testing.assert_array_equal(saved.get_feature_names_out(), features.get_feature_names_out())
    for texts in (pd.Series(TEXTS), np.array(TEXTS), np.array(TEXTS, dtype=object)):
        assert abs(saved.transform(texts) - rows).max() == 0
    scaled = make_pipeline(TextFeatures(text, vocabulary=9, stop_words=False), MaxAbsScaler()).fit_transform(TEXTS)
    np.testing.assert_allclose(scaled.toarray(), MaxAbsScaler().fit_transform(rows).toarray())


@pytest.mark.parametrize("texts, message", [
    (["a ship", None], "row 1 is None of type NoneType, not a string; leave the row out if it is missing"),
    (pd.Series(["a ship", None, "x"]), "row 1 is nan of type float"),
    (["a ship", "b", 3.5], r"row 2 is 3\.5 of type float, not a string.*astype\(str\)"),
    (["a ship", ["a", "b"]], "row 1 is .* of type list"),
    ("a ship", "one string, 'a ship'; give a list"),
    (pd.DataFrame({"review": TEXTS}), r"of shape \(4, 1\).*frame\['review'\]"),
    ([], "there are no texts"),
    (["", " "], "none of the 2 texts has a word"),
    (["the", "and of", ""], "none of the 3 texts .*stop words.*--stop-words false, .*stop_words=False"),
])
@pytest.mark.parametrize("text", ["counts", "hashing"])
def test_bad_texts(text, texts, message):
    with pytest.raises(ValueError, match=message):
        TextFeatures(text).fit(texts)


def test_bad_options_and_unfitted():
    with pytest.raises(ValueError, match="text='count' is none of counts, tfidf, hashing"):
        TextFeatures("count").fit(TEXTS)
    assert TextFeatures(vocabulary=np.int64(1)).fit_transform(iter(TEXTS)).shape == (len(TEXTS), 1)
    for vocabulary in (0, 2.5):
        with pytest.raises(ValueError, match=f"vocabulary={vocabulary} must be"):
            TextFeatures(vocabulary=vocabulary).fit(TEXTS)
    for method in (TextFeatures().transform, TextFeatures().get_feature_names_out):
        with pytest.raises(NotFittedError):
            method(TEXTS)
    with pytest.raises(ValueError, match="row 0 is None"):
        TextFeatures().fit(TEXTS).transform([None])


@pytest.mark.data
@pytest.mark.skipif(not REVIEWS.is_file(), reason="imdb is not under DEC_DATA")
def test_reviews():
    reviews = pd.read_csv(REVIEWS, nrows=2000)["review"]
    assert reviews.str.contains("<br />").mean() > 0.3
    features = TextFeatures(vocabulary=1000)
    rows = features.fit_transform(reviews)
    words = features.get_feature_names_out()
    assert rows.shape == (2000, 1000) and rows.nnz < 0.1 * 2000 * 1000 and not {"br", "the", "quot"} & set(words)
    assert set(words[np.argsort(-rows.sum(axis=0))[:2]]) == {"film", "movie"}


def test_truncated_rows_keep_the_first_words_of_the_alphabet():
    texts = ["zebra apple mango", "apple mango mango", "zebra"]
    features = TextFeatures(truncate=2).fit(texts)
    assert list(features.get_feature_names_out()) == ["apple", "mango"] and features.blocks_ == ("poisson:2",)
    np.testing.assert_array_equal(features.transform(texts).toarray(), [[1, 1], [1, 2], [0, 0]])
