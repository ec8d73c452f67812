"""Clustering without a network, in pure JAX that can be vmapped: k-means, Student-t assignment, target distribution."""
