"""One scikit-learn transformer per kind of data: raw rows in, numbers out."""
