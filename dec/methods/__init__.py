"""One file per deep clustering method, each a factory of a `Method` (see base.py); nothing about loops, seeds or devices."""
