"""Texts as sparse rows of words."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import csr_array
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
from sklearn.utils.validation import check_is_fitted

from dec.config import unknown

KINDS = ("counts", "tfidf", "hashing")
TAG = re.compile(r"<(?:/?[a-z]|[!?])[^<>]*>", re.IGNORECASE)  # not the < of 'x < 3' or of '<3'


class TextFeatures(TransformerMixin, BaseEstimator):
    """Texts to a CSR array [n, W] of float32: what each text holds of every word, in lower case and without HTML.

    A word is two or more letters, digits or underscores in a row. Words that `fit` did not see are left out; a text
    without known words is a row of zeros.

    Args:
      text: counts: how often each word occurs; tfidf: counts times the log inverse document frequency, each row of
        length 1; hashing: counts per bucket of words, each row of length 1, with no vocabulary to keep.
      vocabulary: the number of words at most, the most frequent ones in `fit`; for hashing the number of buckets.
      stop_words: leave out scikit-learn's list of common English words.
      truncate: keep so many columns only, the first in the alphabet, as scripts do that cut vectors by mistake.

    Attributes:
      blocks_: ("poisson:W",) for counts, else ("gaussian:W",).
      vectorizer_: scikit-learn's fitted vectorizer. It lower-cases by itself, but does not know of HTML.
    """

    def __init__(
        self, text: str = "counts", vocabulary: int = 5000, stop_words: bool = True, truncate: int | None = None
    ) -> None:
        self.text = text
        self.vocabulary = vocabulary
        self.stop_words = stop_words
        self.truncate = truncate

    def fit(self, X: Iterable[str], y: Any = None) -> TextFeatures:
        """Learn the words of the texts `X` [n].

        Raises:
          ValueError: an unknown `text`, a `vocabulary` below 1, rows that are missing or no strings, or not one word
            in all of them.
        """
        self.fit_transform(X)
        return self

    def fit_transform(self, X: Iterable[str], y: Any = None) -> csr_array:
        """`fit` and `transform` in one pass over the texts."""
        if self.text not in KINDS:
            raise ValueError(unknown("text", str(self.text), list(KINDS)))
        if not isinstance(self.vocabulary, Integral) or self.vocabulary < 1:
            raise ValueError(f"vocabulary={self.vocabulary!r} must be a whole number of at least 1")
        texts = _texts(X)
        options = {"stop_words": "english" if self.stop_words else None, "dtype": np.float32}
        if self.text == "hashing":
            vectorizer = HashingVectorizer(n_features=self.vocabulary, alternate_sign=False, **options)
        else:
            vectorizer = (CountVectorizer if self.text == "counts" else TfidfVectorizer)(
                max_features=self.vocabulary, **options)
        try:
            rows = csr_array(vectorizer.fit_transform(map(_clean, texts)))[:, : self.truncate]
            found = rows.nnz > 0
        except ValueError as error:
            if "empty vocabulary" not in str(error):
                raise
            found = False
        if not found:
            raise ValueError(f"none of the {len(texts)} texts has a word: all are empty"
                             + (", or hold English stop words alone; keep those by --stop-words false (in Python "
                                "stop_words=False), or"
                                if self.stop_words else "; a word is two or more letters or digits in a row;")
                             + " look whether this is the column of texts")
        if self.text != "hashing":  # plain integers, because skops writes a file for each NumPy one
            vectorizer.vocabulary_ = {word: int(column) for word, column in vectorizer.vocabulary_.items()}
        self.vectorizer_ = vectorizer
        self.blocks_ = (f"{'poisson' if self.text == 'counts' else 'gaussian'}:{rows.shape[1]}",)
        return rows

    def transform(self, X: Iterable[str]) -> csr_array:
        """The rows [n, W] of the texts `X` [n].

        Raises:
          ValueError: rows that are missing or no strings.
        """
        check_is_fitted(self)
        return csr_array(self.vectorizer_.transform(map(_clean, _texts(X))))[:, : self.truncate]

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """The word of each column, 'bucket 17' for hashing."""
        check_is_fitted(self)
        if isinstance(self.vectorizer_, HashingVectorizer):
            names = np.array([f"bucket {i}" for i in range(self.vectorizer_.n_features)], dtype=object)
        else:
            names = self.vectorizer_.get_feature_names_out()
        return names[: self.truncate]


def _texts(X: Iterable[str]) -> list[str]:
    """The texts of `X`, each checked to be one."""
    if isinstance(X, str) or getattr(X, "ndim", 1) != 1:
        given = f"one string, {X[:30]!r}" if isinstance(X, str) else f"of shape {X.shape}"
        raise ValueError(f"the texts are {given}, but must be a list or column [n] of strings, like frame['review']")
    texts = list(X)
    if not texts:
        raise ValueError("there are no texts; give at least one")
    for row, value in enumerate(texts):
        if isinstance(value, str):
            continue
        if pd.api.types.is_scalar(value) and pd.isna(value):
            raise ValueError(f"the text in row {row} is missing ({value}); leave such rows out, or put '' there for a "
                             "row without words")
        raise ValueError(f"the text in row {row} is {value!r} of type {type(value).__name__}, not a string; convert "
                         "the column, for example with column.astype(str)")
    return texts


def _clean(text: str) -> str:
    """`text` with tags as spaces and entities as their characters; tags first, since '&lt;b&gt;' is no tag."""
    return html.unescape(TAG.sub(" ", text))
