"""Two processes look through their own rows and hear of the others'."""

import json
import os
import socket
import subprocess
import sys

import numpy as np
import pytest

from dec.data import processes
from dec.data.dataset import check_rows, content_hash
from dec.data.scaling import fit_scaling

N, WIDTH = 2**16, 64  # four blocks
KINDS = ("power", "range", "symmetric", "standard")


def rows():
    return np.random.default_rng(0).normal(1, 2, (N, WIDTH)).astype(np.float32)


class Watched:
    """Rows that know which of them were read, and cannot read `damaged`."""

    shape, dtype, damaged = (N, WIDTH), np.dtype(np.float32), N

    def __init__(self, x):
        self.x, self.read = x, []

    def __getitem__(self, at):
        start, stop, _ = at.indices(N)
        if start <= self.damaged < stop:
            raise OSError(f"row {self.damaged} is damaged")
        self.read += [(start, stop)] if start < stop else []  # no row tells the kind of them
        return self.x[at]


def found(x):
    """What a process finds, as JSON."""
    scalings = [[part.tolist() for part in fit_scaling(x, kind)[:2]] for kind in KINDS]
    return {"hash": content_hash(x), "scalings": scalings}


def main(address, number):
    """One of two processes: what it finds, which rows it reads for that, and what it says of bad ones."""
    from dec.training import mesh
    from dec.training.rows import put

    mesh.start({}, address, 2, int(number))
    x = Watched(rows())
    check_rows(x, "x")
    seen = found(x)
    put(x, 1.0)
    seen["read"] = sorted(set(x.read))
    wrong = rows()
    wrong[50_000, 3] = np.inf  # in the part of the second, as the damage is
    x.damaged = 50_001
    for bad in (wrong, x):
        with pytest.raises((ValueError, OSError)) as error:
            check_rows(bad, "x")
        seen[type(bad).__name__] = str(error.value)
    if number == "0":  # the other does not answer
        check_rows(wrong[:100], "x")  # of less than a block for each
        processes.alone = True
        seen["alone"] = content_hash(rows())
    print(json.dumps(seen))


def test_two_processes_read_their_own_rows_and_find_what_one_finds():
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    both = [subprocess.Popen([sys.executable, __file__, address, str(i)], env=environment, text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE) for i in (0, 1)]
    try:
        said = [process.communicate(timeout=600) for process in both]
    finally:
        for process in both:
            process.kill()
    assert [process.returncode for process in both] == [0, 0], said
    one = found(rows())
    for number, (out, _) in enumerate(said):
        heard = json.loads(out.splitlines()[-1])
        assert heard["hash"] == heard.get("alone", heard["hash"]) == one["hash"]
        for ours, theirs in zip(one["scalings"], heard["scalings"]):
            for a, b in zip(ours, theirs):
                np.testing.assert_allclose(a, b, rtol=1e-6)
        assert "has the value inf in row 50000, column 3" in heard["ndarray"]
        assert heard["Watched"] == ("row 50001 is damaged" if number else "process 1: row 50001 is damaged")
        first, last = number * N // 2, (number + 1) * N // 2
        assert [first, last] in heard["read"]  # what is placed on the device
        assert all(first <= start < stop <= last for start, stop in heard["read"])


def test_one_process_has_all():
    assert processes.map_shares(range(5), list) == [[0, 1, 2, 3, 4]]


if __name__ == "__main__":
    main(*sys.argv[1:])
