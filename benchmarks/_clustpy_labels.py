"""The ClustPy side of `quality.py`, for an interpreter that has torch and ClustPy: a method of it at its defaults.

It calls the public `clustpy.deep.METHOD(clusters).fit(x)` unchanged, and saves every set of labels that this leaves.
"""

from __future__ import annotations

import argparse
import json
import os
import time

import numpy as np
import torch
from _clustpy_side import stub_torchvision, versions


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--versions", action="store_true", help="print them as JSON, and end")
    parser.add_argument("--method", help="a class of clustpy.deep")
    parser.add_argument("--clusters", type=int)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--data", help="a .npy of float32 rows in [0, 1]")
    parser.add_argument("--save", help="a .npz to write: seconds, and labels by the attribute's name")
    args = parser.parse_args()
    if args.versions:
        print(json.dumps(versions()))
        return
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    stub_torchvision()
    import clustpy.deep

    start = time.perf_counter()
    model = getattr(clustpy.deep, args.method)(args.clusters, random_state=args.seed).fit(np.load(args.data))
    labels = {name: value for name, value in vars(model).items() if name.endswith("labels_")}
    np.savez(args.save, seconds=time.perf_counter() - start, **labels)


if __name__ == "__main__":
    main()
