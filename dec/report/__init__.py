"""What a person reads of a run: tables, figures, the HTML report. Reads results, never changes them."""
