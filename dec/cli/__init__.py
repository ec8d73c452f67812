"""The command line: parse arguments, call a function, print its result."""
