"""What a person reads of a run: tables. Reads results, never changes them."""
