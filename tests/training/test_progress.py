"""What is shown while a run trains."""

import io
import sys
from dataclasses import dataclass

import jax
import jax.numpy as jnp

from dec.training.engine import CONVERGED, RUNNING, State
from dec.training.progress import Progress
from dec.training.session import Session


@dataclass(frozen=True)
class Countdown:
    """A phase whose seeds stop by themselves after as many periods as their net says."""

    name: str = "cluster"
    periods: int = 5

    def period(self, data, extra, key, state, index):
        status = jnp.where(index + 1 >= state.net, CONVERGED, RUNNING).astype(jnp.int32)
        return state._replace(status=status, step=state.step + 1), {"loss": 1 / (index + 1.0), "change": index / 8}


def shown(nets, progress):
    state = State(jnp.array(nets), (), (), (), jnp.zeros(len(nets), jnp.int32), jnp.zeros(len(nets), jnp.int32))
    session, keys = Session(list(range(len(nets))), progress=progress), jax.random.split(jax.random.key(0), len(nets))
    session.run(Countdown(), jnp.zeros(3), None, keys, state, 0, session.seeds, None)


def test_seeds_that_are_done_are_counted():
    seen = []
    shown([1, 4, 9], lambda *args: seen.append(args))
    done = [record["seeds_done"] for *_, record in seen]
    assert done == sorted(done) and done[0] < 3 and done[-1] == 3
    assert seen[-1][:3] == ("cluster", 5, 5)


def test_lines_in_a_pipe(capsys):
    with Progress("idec: ") as progress:
        shown([9, 9], progress)
    (last,) = capsys.readouterr().err.splitlines()[-1:]
    assert last == "idec: cluster: 5/5  loss 0.2  change 0.5  seeds done 2"


def test_a_bar_on_a_terminal(monkeypatch):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "150")
    with Progress("idec: ") as progress:
        shown([9], progress)
    bar = terminal.getvalue()
    assert "idec: cluster" in bar and "5/5" in bar and "loss 0.2  change 0.5" in bar and "seeds done" not in bar
