"""Deep clustering in JAX: learn a representation and the clusters in it together."""
