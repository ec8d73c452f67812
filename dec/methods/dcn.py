"""DCN: towards k-means-friendly spaces (Yang, Fu, Sidiropoulos and Hong, ICML 2017)."""

from __future__ import annotations

import jax.numpy as jnp

from dec.config import Optimizer
from dec.errors import UserError
from dec.methods.base import Head, Method, check_at_least
from dec.methods.brb import KEEP, brb
from dec.methods.kmeans import kmeans
from dec.shallow.distances import squared_distances
from dec.shallow.kmeans import chunks, distances_at_once, dot, lloyd

COUNT = 100.0  # of rows, that a center has from the start: the authors' code


def dcn(lam: float = 0.005, recluster_every: int = 10, brb_every: int = 0, brb_keep: float = KEEP) -> Method:
    """Codes near their centers: L = reconstruction + lam/2 |f(x) - m|², with m the nearest center.

    The centers are no parameters of the optimizer. After each step its rows move them, each by 1 / count, and a center
    without rows stays. Every few epochs k-means goes on from them, which moves a center without rows to the row
    farthest from its own; the counts then begin again at 100 (in the authors' code they go on).

    Args:
      lam: weight of the clustering, beside a reconstruction loss averaged over features. The authors' code for MNIST
        weighs a sum over 784 pixels by 0.05 and the distance by 1, which is lam = 2 / (0.05 * 784) = 0.05 here; of
        0.05, 0.02, 0.01 and 0.005 the default is the largest by which no cluster of five data sets is emptied.
      recluster_every: epochs from one k-means to the next (the authors' code takes 10); 0 for none.
      brb_every: epochs from one soft reset of the encoder to the next, as in DEC, in the place of recluster_every;
        0 for none.
      brb_keep: part of the weights that such a reset keeps.

    References:
      Yang et al. 2017; the moving centers are equation 8.
    """
    check_at_least(0, lam=lam)
    if recluster_every < 0:
        raise UserError(f"recluster_every={recluster_every} must be at least 0 epochs (0 is off)")
    hard = kmeans()

    def start(centers):
        return Head(params=(), state=(centers, jnp.full(len(centers), COUNT)))

    def init(key, net, view, k):
        return start(hard.init(key, net, view, k).params)

    def centers(head):
        return head.state[0]

    def assign(head, codes):
        return hard.assign(Head(centers(head)), codes)

    def loss(net, head, batch, clock):
        codes, own = net.encode(batch.x), jnp.exp(assign(head, net.encode(batch.clean)))
        return {
            "reconstruction": net.reconstruction(batch.x, codes),
            "clustering": lam / 2 * jnp.sum(own * squared_distances(codes, centers(head)), axis=-1),
        }

    def update(head, codes, batch):
        # Row by row c <- c + 1 and m <- m - (m - z) / c, that is c m <- c m + z. The authors' code assigns all
        # rows of a batch before the first moves its center: in the end c m has gained their sum, and c their number.
        old, counts = head.state
        members = batch.weight[:, None] * jnp.exp(assign(head, codes))
        total = counts + members.sum(axis=0)
        return (counts[:, None] * old + dot(members.T, codes)) / total[:, None], total

    def between(key, net, head, view, clock):
        codes, old = view.encode(net), centers(head)
        origin = old.mean(axis=0)  # far from it, distances would lose their digits
        rows = chunks(codes - origin, view.weight, max(distances_at_once() // len(old), 1))
        return net, start(lloyd(rows, old - origin, 300, 0.0) + origin)

    method = Method(init, assign, loss, update=update, between=between if recluster_every else None,
                    between_every=recluster_every, centers=centers, optimizer=Optimizer("adam", 1e-3))
    return brb(method, brb_every, brb_keep)
