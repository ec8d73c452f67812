"""Choices without labels: the number of clusters, a seed, a method or setting."""
