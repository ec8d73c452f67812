"""Tables with mixed columns as rows of numbers, and back."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.sparse import csr_array, issparse
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from dec.data.dataset import check_parameters
from dec.data.transformers import columns
from dec.data.transformers.text import TextFeatures
from dec.errors import UserError

if TYPE_CHECKING:
    from sklearn.compose import ColumnTransformer


class TableFeatures(TransformerMixin, BaseEstimator):
    """A pandas DataFrame with columns of any kinds to a matrix [n, W] of float32; CSR where less than 30 % is not 0.

    What a column is, is found out from the rows of `fit`, in this order; missing values and blank strings do not count:

      drop      no value, or one value alone
      boolean   two values, one of true, yes, t, y, 1 and one of false, no, f, n, 0 in either case -> one column of 0, 1
      number    dates as days since 1970, also as strings that are all ISO 8601; durations as days; and numbers, also as
                strings that are all numbers, except for the next two:
        drop      whole numbers, all different, in a column called id, index, ..._id, ...Id or the like
        log       numbers >= 0 with a skewness above 3 -> log(1 + x), then as number
      drop      strings: 90 % or more web addresses, or a different single word in each row
      text      strings: two words or more on average, and at least half of them different -> counted words
      category  all others, and whatever else has pandas's dtype category -> one-hot

    `count` is by choice alone: whole numbers >= 0 as they are, for a Poisson likelihood.

    A category that `fit` did not see is counted to the rare ones where `max_categories` made such, else is all zeros.

    Args:
      kinds: {column: kind}, or a sequence of 'COLUMN=KIND', where the inferred kind is wrong.
      numeric: scaling of numbers. standard: mean 0 and variance 1; robust: median 0 and quartiles 1 apart (variance 1
        where the quartiles are equal); minmax: to [0, 1]; quantile: ranks, to [0, 1]; none.
      missing: impute: the median of number and log, the most frequent value of the others, no words in text, and for
        each column with missing values in `fit` one more that is 1 there. category: the same, but '(missing)' is a
        category of its own. error, drop: refuse missing values (rows are left out by who reads the table).
      max_categories: of a column with more, the rarest share one, '(rare)'.
      text, vocabulary, stop_words: see `TextFeatures`.

    Attributes:
      kinds_: {column: kind}, for all columns of `fit`.
      dropped_: {column: why it is not used}.
      blocks_: likelihoods of the W columns in their order, 'kind:width'; one categorical block for each category.
      missing_, dates_: columns with missing values in `fit`; columns of dates.
      categories_: {column: its categories in the order of their columns}, as strings.
      transformer_: the fitted ColumnTransformer.
    """

    def __init__(self, kinds: Mapping[str, str] | Iterable[str] | None = None, numeric: str = "standard",
                 missing: str = "impute", max_categories: int | None = None, text: str = "counts",
                 vocabulary: int = 5000, stop_words: bool = True) -> None:
        self.kinds = kinds
        self.numeric = numeric
        self.missing = missing
        self.max_categories = max_categories
        self.text = text
        self.vocabulary = vocabulary
        self.stop_words = stop_words

    def fit(self, X: pd.DataFrame, y: Any = None) -> TableFeatures:
        """Learn kinds, scales, categories and words from the rows `X`.

        Raises:
          ValueError: an unknown option; no rows, or no column that is used; or a value that the kind of its column does
            not allow, with the row: a word among numbers, an infinite one, a missing one where those are refused.
        """
        self.fit_transform(X)
        return self

    def fit_transform(self, X: pd.DataFrame, y: Any = None) -> np.ndarray | csr_array:
        """Fit to the rows and transform them in one pass."""
        check_parameters(self)
        X = columns.as_frame(X)
        self.feature_names_in_, self.n_features_in_ = X.columns.to_numpy(object), X.shape[1]
        self._learn_kinds(X)
        self.dates_ = tuple(name for name in self._of("number", "log") if columns.is_date(X[name]))
        values = self._read(X)
        self.missing_ = tuple(name for name in values if pd.isna(values[name]).any())
        clean = self._clean(values)
        self.transformer_ = self._transformer(clean)
        try:
            rows = self.transformer_.fit_transform(clean)
        except ValueError as error:
            if "has a word" not in str(error):
                raise
            raise UserError(f"column {' or '.join(map(repr, self._of('text')))} of kind text: {error}") from error
        self.categories_ = {name: self._labels(name) for name in self._of("category")}
        widths = {"gaussian": len(self._of("number", "log")), "poisson": len(self._of("count")),
                  "bernoulli": len(self._of("boolean")) + len(self._indicators)}
        self.blocks_ = (*(f"{kind}:{width}" for kind, width in widths.items() if width),
                        *(f"categorical:{len(labels)}" for labels in self.categories_.values()),
                        *(block for name in self._of("text") for block in self._fitted(name).blocks_))
        return _float32(rows)

    def transform(self, X: pd.DataFrame) -> np.ndarray | csr_array:
        """Return the features [n, W] of the rows `X`, whose columns may come in any order.

        Raises:
          ValueError: no rows, missing columns, or values that a column's kind does not allow.
        """
        check_is_fitted(self)
        X = columns.as_frame(X, self.used_)
        extra = [name for name in X.columns if name not in self.kinds_]
        if extra:
            warnings.warn(f"these columns were not there in fit and are not used: {', '.join(map(repr, extra))}",
                          UserWarning, stacklevel=2)
        return _float32(self.transformer_.transform(self._clean(self._read(X))))

    def inverse_transform(self, X: np.ndarray | csr_array) -> pd.DataFrame:
        """Return the columns that rows of features [n, W] came from, without text.

        Numbers are in their own units and dates are dates. A category is the largest of its block, None where all of
        it is 0; a boolean is True from 0.5 on.

        Raises:
          ValueError: another number of columns than W.
        """
        check_is_fitted(self)
        X, features = csr_array(X) if issparse(X) else np.asarray(X), len(self._features())
        if X.ndim != 2 or X.shape[1] != features:
            raise UserError(f"X has shape {X.shape}, but rows of the {features} features are needed")
        found: dict[str, Any] = {}
        for step, place in self.transformer_.output_indices_.items():
            kind, _, at = step.partition(" ")
            if kind not in ("number", "log", "count", "boolean", "category"):
                continue
            block = (X[:, place].toarray() if issparse(X) else X[:, place]).astype(np.float64)
            if kind == "category":
                name = self.used_[int(at)]
                labels = np.array(self.categories_[name], object)
                found[name] = np.where((block != 0).any(axis=1), labels[block.argmax(axis=1)], None)
                continue
            if kind in ("number", "log"):
                block = self.transformer_.named_transformers_[kind][1:].inverse_transform(block)
            found |= dict(zip(self._of(kind), block.T >= 0.5 if kind == "boolean" else block.T))
        found |= {name: columns.as_dates(found[name]) for name in self.dates_}
        return pd.DataFrame({name: found[name] for name in self.kinds_ if name in found})

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the names of the W features: 'price', 'price is missing', 'brand=Nokia', 'title:word'."""
        check_is_fitted(self)
        return np.array([feature for _, feature in self._features()], dtype=object)

    def describe(self, X: pd.DataFrame) -> pd.DataFrame:
        """Describe the columns of `fit` as they are in the rows `X`.

        Returns:
          a row for each: column, kind (or 'dropped: why'), missing and unique (numbers of values), values (the range of
          numbers, the most frequent one of others) and becomes (the number of features).

        Raises:
          ValueError: no rows, or missing columns.
        """
        check_is_fitted(self)
        X = columns.as_frame(X, self.kinds_)
        becomes, rows = Counter(name for name, _ in self._features()), []
        for name, kind in self.kinds_.items():
            column = X[name] if columns.is_number(X[name]) else pd.Series(columns.as_strings(X[name]), dtype=object)
            rows.append({"column": name, "kind": f"dropped: {self.dropped_[name]}" if kind == "drop" else kind,
                         "missing": int(column.isna().sum()), "unique": column.nunique(),
                         "values": columns.summary(X[name]), "becomes": becomes[name]})
        return pd.DataFrame(rows)

    @property
    def used_(self) -> list[str]:
        """The columns that are not dropped."""
        return [name for name, kind in self.kinds_.items() if kind != "drop"]

    def _of(self, *kinds: str) -> list[str]:
        return [name for kind in kinds for name in self.kinds_ if self.kinds_[name] == kind]

    @property
    def _indicators(self) -> list[str]:
        """The columns that have a further one which says where values were missing."""
        own = self._of("category") if self.missing == "category" else []
        return [name for name in self.missing_ if name not in own]

    def _step(self, name: str) -> str:
        """Return the step of the ColumnTransformer for a column; numbers share one for each kind."""
        return f"{self.kinds_[name]} {self.used_.index(name)}"

    def _fitted(self, name: str) -> Any:
        """Return the transformer of such a column."""
        return self.transformer_.named_transformers_[self._step(name)]

    def _features(self) -> list[tuple[str, str]]:
        """Return (column, name of the feature) of every feature, in order."""
        return [*((name, name) for name in self._of("number", "log", "count", "boolean")),
                *((name, f"{name} is missing") for name in self._indicators),
                *((name, f"{name}={value}") for name, values in self.categories_.items() for value in values),
                *((name, f"{name}:{word}") for name in self._of("text")
                  for word in self._fitted(name).get_feature_names_out())]

    def _learn_kinds(self, X: pd.DataFrame) -> None:
        """Set kinds_ and dropped_."""
        chosen = columns.chosen_kinds(self.kinds, list(X.columns))
        self.kinds_, self.dropped_ = {}, {}
        for name, column in X.items():
            self.kinds_[name], why = (chosen[name], "by choice") if name in chosen else columns.infer_kind(column)
            if columns.is_missing(column).all():
                self.kinds_[name], why = "drop", "has no values"  # whatever was chosen: nothing can be learnt from it
            if self.kinds_[name] == "drop":
                self.dropped_[name] = why
        if not self.used_:
            why = "; ".join(f"{name!r} {reason}" for name, reason in self.dropped_.items()) or "the table has none"
            why = "there is one row only" if len(X) == 1 else why
            raise UserError(f"no column is left to use: {why}; choose a kind for one, by --kinds COLUMN=KIND (in "
                            "Python kinds=...)")

    def _read(self, X: pd.DataFrame) -> dict[str, np.ndarray]:
        """Return the values [n] of the used columns: float64, or str objects; NaN where missing."""
        values = {name: columns.read_column(X[name], self.kinds_[name], name in self.dates_) for name in self.used_}
        for name, column in values.items() if self.missing in ("drop", "error") else ():
            where = np.flatnonzero(pd.isna(column))
            if where.size:
                raise UserError(f"column {name!r} has {where.size} missing values, the first in row "
                                f"{X.index[where[0]]}, and missing={self.missing!r} allows none here; fill them in, "
                                "leave such rows or the column out, or use missing='impute' or 'category'")
        return values

    def _clean(self, values: dict[str, np.ndarray]) -> pd.DataFrame:
        """Return the used columns, then the indicators, called 0, 1, ...: what the ColumnTransformer takes."""
        clean, indicators = [], self._indicators
        own = set(self.missing_) - set(indicators)
        for name, column in values.items():
            if self.kinds_[name] == "text" or name in own:
                column = np.where(pd.isna(column), "(missing)" if name in own else "", column)
            clean.append(column)
        clean += [pd.isna(values[name]).astype(np.float64) for name in indicators]
        return pd.DataFrame(dict(enumerate(clean)))

    def category_places(self) -> dict[str, slice]:
        """Return the columns of the features that each category column became."""
        return {name: self.transformer_.output_indices_[self._step(name)] for name in self.categories_}

    def _transformer(self, clean: pd.DataFrame) -> ColumnTransformer:
        """Return the transformer of the columns of `_clean`, not yet fitted."""
        from sklearn import preprocessing  # here: these load much that a run without a table would wait for
        from sklearn.compose import ColumnTransformer
        from sklearn.impute import SimpleImputer
        from sklearn.pipeline import make_pipeline

        scaling = {
            "standard": [preprocessing.StandardScaler()],
            # Standardized first, which changes nothing but for columns with equal quartiles: those it does not scale.
            "robust": [preprocessing.StandardScaler(), preprocessing.RobustScaler()],
            "minmax": [preprocessing.MinMaxScaler()],
            "quantile": [preprocessing.QuantileTransformer(n_quantiles=min(1000, len(clean)), random_state=0)],
            "none": [preprocessing.FunctionTransformer()],
        }[self.numeric]
        log = preprocessing.FunctionTransformer(np.log1p, inverse_func=np.expm1, check_inverse=False)
        frequent = SimpleImputer(strategy="most_frequent")
        at = {name: i for i, name in enumerate(self.used_)}
        kinds = {"number": make_pipeline(SimpleImputer(strategy="median"), *scaling),
                 "log": make_pipeline(SimpleImputer(strategy="median"), log, *scaling),
                 "count": frequent, "boolean": frequent}
        steps = [(kind, step, [at[name] for name in self._of(kind)]) for kind, step in kinds.items()]
        steps.append(("missing", "passthrough", list(range(len(at), clean.shape[1]))))
        for name in self._of("category"):
            # scikit-learn would also call the rarest of exactly max_categories rare, and count unseen ones to it.
            many = self.max_categories is not None and clean[at[name]].nunique() > self.max_categories
            one_hot = preprocessing.OneHotEncoder(handle_unknown="infrequent_if_exist", dtype=np.float32,
                                                  max_categories=self.max_categories if many else None)
            steps.append((self._step(name), make_pipeline(frequent, one_hot), [at[name]]))
        for name in self._of("text"):
            words = TextFeatures(text=self.text, vocabulary=self.vocabulary, stop_words=self.stop_words)
            steps.append((self._step(name), words, at[name]))
        return ColumnTransformer([step for step in steps if step[2] != []])

    def _labels(self, name: str) -> list[str]:
        """Return the labels of a category column's one-hot block, in the encoder's order: the rare ones come last."""
        encoder = self._fitted(name)[-1]
        rare = set(encoder.infrequent_categories_[0]) if encoder.max_categories else set()
        return [*(str(value) for value in encoder.categories_[0] if value not in rare), *(["(rare)"] if rare else [])]


def _float32(rows: Any) -> np.ndarray | csr_array:
    return csr_array(rows, dtype=np.float32) if issparse(rows) else np.asarray(rows, dtype=np.float32)
