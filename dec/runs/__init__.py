"""Runs on disk: prepare, execute, resume, predict and read back. Every function can be called from Python."""
