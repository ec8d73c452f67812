"""Texts as sparse rows of words."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from typing import Any

import numpy as np
from scipy.sparse import csr_array
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
from sklearn.utils.validation import check_is_fitted

from dec.data.dataset import as_items, check_parameters
from dec.errors import UserError

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
          ValueError: an unknown `text`, a `vocabulary` below 1, rows that are no strings, or not one word in all.
        """
        self.fit_transform(X)
        return self

    def fit_transform(self, X: Iterable[str], y: Any = None) -> csr_array:
        """Fit to the texts and transform them in one pass."""
        check_parameters(self)
        texts = _texts(X)
        vectorizer = {"counts": CountVectorizer(max_features=self.vocabulary),
                      "tfidf": TfidfVectorizer(max_features=self.vocabulary),
                      "hashing": HashingVectorizer(n_features=self.vocabulary, alternate_sign=False)}[self.text]
        vectorizer.set_params(stop_words="english" if self.stop_words else None, dtype=np.float32)
        try:
            rows = csr_array(vectorizer.fit_transform(map(_clean, texts)))[:, : self.truncate]
        except ValueError as error:
            if "empty vocabulary" not in str(error):
                raise
            rows = csr_array((0, 0))
        if not rows.nnz:
            stops = " but English stop words (keep those by --stop-words false, in Python stop_words=False)"
            raise UserError(f"none of the {len(texts)} texts has a word, which is two or more letters or digits in a "
                            f"row,{stops if self.stop_words else ''}; look whether this is the column of texts")
        if self.text != "hashing":  # plain integers, because skops writes a file for each NumPy one
            vectorizer.vocabulary_ = {word: int(column) for word, column in vectorizer.vocabulary_.items()}
        self.vectorizer_ = vectorizer
        self.blocks_ = (f"{'poisson' if self.text == 'counts' else 'gaussian'}:{rows.shape[1]}",)
        return rows

    def transform(self, X: Iterable[str]) -> csr_array:
        """Return the rows [n, W] of the texts `X` [n].

        Raises:
          ValueError: rows that are missing or no strings.
        """
        check_is_fitted(self)
        return csr_array(self.vectorizer_.transform(map(_clean, _texts(X))))[:, : self.truncate]

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the word of each column, 'bucket 17' for hashing."""
        check_is_fitted(self)
        if isinstance(self.vectorizer_, HashingVectorizer):
            return np.array([f"bucket {i}" for i in range(self.vectorizer_.n_features)], dtype=object)[: self.truncate]
        return self.vectorizer_.get_feature_names_out()[: self.truncate]


def _texts(X: Iterable[str]) -> list[str]:
    """Return the texts of `X`, each checked to be one."""
    if getattr(X, "ndim", 1) != 1:
        raise UserError(f"the texts are of shape {X.shape}, but must be a list or column [n], like frame['review']")
    texts = as_items(X if isinstance(X, str) else list(X), "texts")
    for row, value in enumerate(texts):
        if not isinstance(value, str):
            raise UserError(f"the text in row {row} is {value!r} of type {type(value).__name__}, not a string; leave "
                            "the row out if it is missing, or convert the column, for example with column.astype(str)")
    return texts


def _clean(text: str) -> str:
    """Return `text` with tags as spaces and entities as characters; tags first, since '&lt;b&gt;' is no tag."""
    return html.unescape(TAG.sub(" ", text))
