"""The loops, written once for every method: batches, seeds, chunks of compiled steps, checkpoints.

Labels never enter here.
"""
