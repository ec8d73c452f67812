"""Data: the `Dataset`, readers from files, transformers from raw rows to numbers. Nothing here trains."""
