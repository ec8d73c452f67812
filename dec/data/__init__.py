"""From a name or a path to a , and from its raw values to scaled features. Nothing here trains."""
