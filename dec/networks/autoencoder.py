"""Autoencoders of any layers, and the pytree that methods see of them."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import struct, traverse_util
from jax import lax
from jaxtyping import Array, Float, Key, PyTree

from dec import config
from dec.errors import UserError
from dec.io import markdown
from dec.networks import likelihood
from dec.networks.layers import row_shape
from dec.networks.registry import hidden_widths, network_kind

INITIALIZERS = {
    "glorot_uniform": nn.initializers.glorot_uniform(),
    "fan_in_uniform": nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform"),  # DEC-keras
    "he_normal": nn.initializers.he_normal(),
    "lecun_normal": nn.initializers.lecun_normal(),
    "normal_001": nn.initializers.normal(0.01),  # Xie et al. 2016, section 4.3
    "torch": nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform"),  # and its biases, see `Net.fresh`
}


def activation(name: str):
    """Return an activation of flax.linen by its name; "linear" is the identity.

    Raises:
      ValueError: for a name flax.linen does not have.
    """
    known = ["relu", "gelu", "elu", "leaky_relu", "selu", "silu", "softplus", "tanh", "sigmoid"]
    if name == "linear":
        return lambda x: x
    if name not in known:
        raise UserError(config.unknown("activation", name, ["linear", *known]))
    return getattr(nn, name)


class Autoencoder(nn.Module):
    """Mirrored stacks of layers; by default d-500-500-2000-10 of Xie et al. 2016.

    Attributes:
      config: kind, widths, activations, initializer, output.
      features: d, the width of the input.
      dtype: of the activations; parameters are float32.
      variational: whether a code has a variance as well.
    """

    config: config.Network
    features: int
    dtype: Any = jnp.float32
    variational: bool = False

    def setup(self):
        """Make the layers."""
        net = self.config
        if net.initializer not in INITIALIZERS:
            raise UserError(config.unknown("initializer", net.initializer, list(INITIALIZERS)))
        inner, code = activation(net.activation), activation(net.code_activation)

        self.blocks = likelihood.parse(net.blocks, self.features)
        if net.embed_above and not self.blocks:
            raise UserError("network.embed_above needs network.blocks; a table of the command line brings them")
        wide = net.embed_above or self.features
        self.embeddings = {
            str(start): nn.Dense(2 * math.ceil(math.sqrt(stop - start)), use_bias=False, dtype=self.dtype,
                            name=f"embedding_{start}")
            for kind, start, stop, _ in self.blocks if kind == "categorical" and stop - start > wide
        }
        if net.output == "mixed":
            if not self.blocks:
                raise UserError("network.output='mixed' needs network.blocks; a table of the command line brings them")
            self.log_variance = self.param("log_variance", nn.initializers.zeros, (self.features,))
        options = {"kernel_init": INITIALIZERS[net.initializer], "dtype": self.dtype}
        widths = dataclasses.replace(net, hidden=hidden_widths(net))
        self.encoder, self.decoder = network_kind(net.layers).layers(widths, self.features, options)
        hidden = [activation("linear") if getattr(layer, "bounded", False) else inner for layer in self.encoder[:-1]]
        self.encoder_activations = [*hidden, code]
        self.decoder_activations = [*(inner for _ in hidden), activation("linear")]  # logits if sigmoid
        if self.variational:  # log variances of 0 to begin with
            self.posterior_0 = nn.Dense(net.code_size, kernel_init=nn.initializers.zeros, dtype=self.dtype)

    def __call__(self, x: Float[Array, "b d"], rate: float = 0.0) -> Float[Array, "b d"]:
        if self.is_initializing() and self.variational:
            self.posterior(x)
        return self.decode(self.encode(x, rate), rate)

    def encode(self, x: Float[Array, "b d"], rate: float = 0.0, depth: int | None = None) -> Float[Array, "b c"]:
        """Return codes, or the activations of the first `depth` layers; `rate` of each layer's input is dropped."""
        for i, (layer, act) in enumerate(list(zip(self.encoder, self.encoder_activations))[:depth]):
            x = act(layer(self._dropped(x, rate) if i else self._embedded(x, rate)))
        return x.astype(jnp.float32)

    def posterior(self, x: Float[Array, "b d"], rate: float = 0.0) -> tuple[Float[Array, "b c"], Float[Array, "b c"]]:
        """Return the mean (the code) and log variance of q(z | x), a Gaussian."""
        trunk = self.encode(x, rate, len(self.encoder) - 1)
        return self.encode(x, rate), self.posterior_0(self._dropped(trunk, rate)).astype(jnp.float32)

    def decode(self, z: Float[Array, "b c"], rate: float = 0.0) -> Float[Array, "b d"]:
        """Return the linear output: reconstructions, or their logits where the output is a sigmoid."""
        for layer, act in zip(self.decoder, self.decoder_activations):
            z = act(layer(self._dropped(z, rate)))
        mask = self.features - z.shape[1]  # columns of a mask are not reconstructed
        return jnp.pad(z.astype(jnp.float32), ((0, 0), (0, mask)))

    def pair(self, h: Float[Array, "b e"], rate: float, depth: int) -> Float[Array, "b e"]:
        """Layer `depth` of the encoder and its mirror image: one layer of a stacked denoising autoencoder."""
        mirror = len(self.encoder) - 1 - depth
        code = self.encoder_activations[depth](self.encoder[depth](self._dropped(h, rate)))
        return self.decoder_activations[mirror](self.decoder[mirror](self._dropped(code, rate))).astype(jnp.float32)

    def _embedded(self, x: Float[Array, "b d"], rate: float) -> Float[Array, "b e"]:
        """Return the first layer's input: logarithms of counts, embeddings of wide categories, a mask as a channel.

        `rate` of it is dropped, but nothing of a mask.
        """
        if self.config.output == "mixed":
            x = likelihood.encoder_input(self.blocks, x)
        if sides := network_kind(self.config.layers).sides:
            shape, masked = row_shape(self.config, self.features, sides)
            values, mask = jnp.split(x, [math.prod(shape)], axis=1)
            values, mask = self._dropped(values, rate), mask > 0  # whatever the scaling
            return jnp.dstack([values.reshape(-1, *shape), mask]).reshape(len(x), -1) if masked else values
        if not self.embeddings:
            return self._dropped(x, rate)
        parts = [self.embeddings[str(start)](x[:, start:stop]) if str(start) in self.embeddings else x[:, start:stop]
                 for _, start, stop, _ in self.blocks]
        return self._dropped(jnp.concatenate(parts, axis=1), rate)

    def loss(self, x: Float[Array, "b d"], out: Float[Array, "b d"]) -> Float[Array, " b"]:
        """Return each row's reconstruction loss given the decoder's linear output."""
        match self.config.output:
            case "sigmoid":
                return jnp.mean(jnp.logaddexp(0.0, out) - x * out, axis=-1)
            case "mixed":
                return likelihood.negative_log_likelihood(self.blocks, self.log_variance, x, out)
        weight = likelihood.weights(self.blocks, x, self.config.zero_weight)
        return likelihood.squared_error(x, self.mean(out), weight)

    def mean(self, out: Float[Array, "b d"]) -> Float[Array, "b d"]:
        """Return the reconstruction on the scale of the network's input, from the decoder's linear output."""
        match self.config.output:
            case "sigmoid" | "sigmoid_mse":
                return jax.nn.sigmoid(out)
            case "mixed":
                return likelihood.mean(self.blocks, out)
        return out

    def values(self) -> int:
        """Return the number of values of a row that `loss` averages: features without a mask, or columns of a table."""
        if self.config.output == "mixed":
            return likelihood.columns(self.blocks)
        masks = [(stop - start) // (channels + 1) for kind, start, stop, channels in self.blocks if kind == "sequence"]
        return self.features - sum(masks)

    def _dropped(self, h: Array, rate: float) -> Array:
        if rate == 0:
            return h
        keep = jax.random.bernoulli(self.make_rng("dropout"), 1 - rate, h.shape)
        return jnp.where(keep, h / (1 - rate), 0)


@struct.dataclass
class Net:
    """A network as methods see it: a pytree of parameters that can encode, decode and score reconstructions."""

    params: PyTree
    module: Autoencoder = struct.field(pytree_node=False)

    @classmethod
    def fresh(cls, key: Key[Array, ""], module: Autoencoder) -> Net:
        """Return newly drawn weights; biases of 0, or, as PyTorch draws them, within 1 / √fan in."""
        params = module.init(key, jnp.zeros((1, module.features)))
        if module.config.initializer == "torch":
            leaves = traverse_util.flatten_dict(params)
            drawn = [at for at in sorted(leaves) if at[-1] == "bias" and at[1].startswith(("encoder", "decoder"))]
            for path, own in zip(drawn, jax.random.split(key, len(drawn))):
                bound = math.prod(leaves[*path[:-1], "kernel"].shape[:-1]) ** -0.5
                leaves[path] = jax.random.uniform(own, leaves[path].shape, minval=-bound, maxval=bound)
            params = traverse_util.unflatten_dict(leaves)
        return cls(params, module)

    def _apply(self, *args: Any, **options: Any) -> Any:
        """Call a method of the module."""
        return self.module.apply(self.params, *args, **options)

    def encode(self, x: Float[Array, "b d"]) -> Float[Array, "b c"]:
        """Return codes, float32."""
        return self._apply(x, method="encode")

    def decode(self, z: Float[Array, "b c"]) -> Float[Array, "b d"]:
        """Return reconstructions on the scale of the network's input, float32."""
        return self._apply(z, method=lambda module, z: module.mean(module.decode(z)))

    def reconstruction(self, x: Float[Array, "b d"], z: Float[Array, "b c"]) -> Float[Array, " b"]:
        """Return each row's reconstruction loss, averaged over its features (or, of a table, its columns)."""
        return self._loss(x, self._apply(z, method="decode"))

    def posterior(self, x: Float[Array, "b d"]) -> tuple[Float[Array, "b c"], Float[Array, "b c"]]:
        """Return mean and log variance of q(z | x), of a network with a posterior; the mean is the code."""
        return self._apply(x, method="posterior")

    def calibrated(self, reconstruction: Float[Array, " b"], weight: Float[Array, " b"]) -> Float[Array, " b"]:
        """Return -log p(x | z) of each row, averaged over its features as its `reconstruction` is, up to a constant.

        Where that is a squared error, p is a Gaussian with one variance σ², the most likely one of the batch (Rybkin et
        al. 2021, Simple and effective VAE training with calibrated decoders, section 3).
        """
        if self.module.config.output in ("sigmoid", "mixed"):
            return reconstruction
        log_variance = jnp.log(lax.stop_gradient(jnp.sum(weight * reconstruction) / jnp.sum(weight)))
        log_variance = jnp.maximum(log_variance, likelihood.LEAST_LOG_VARIANCE)
        return 0.5 * (reconstruction * jnp.exp(-log_variance) + log_variance)

    def divergence(self, nats: Float[Array, " b"]) -> Float[Array, " b"]:
        """Nats of a divergence between codes in the unit of `calibrated`, so that the two add up."""
        return nats / self._apply(method="values")

    def negative_elbo(
        self, x: Float[Array, "b d"], key: Key[Array, ""], weight: Float[Array, " b"], rate: float = 0.0
    ) -> Float[Array, " b"]:
        """Return -log p(x | z) + KL(q(z | x) || N(0, 1)) for one draw z of q: eq. 10 of Kingma and Welling 2014."""
        dropout, noise = jax.random.split(key)
        mean, log_variance = self._apply(x, rate, method="posterior", rngs={"dropout": dropout})
        z = mean + jnp.exp(0.5 * log_variance) * jax.random.normal(noise, mean.shape)
        kl = 0.5 * jnp.sum(mean**2 + jnp.exp(log_variance) - log_variance - 1, axis=-1)
        return self.calibrated(self.reconstruction(x, z), weight) + self.divergence(kl)

    def denoising(
        self, x: Float[Array, "b d"], key: Key[Array, ""], rate: float, layer: int | None = None
    ) -> Float[Array, " b"]:
        """Return each row's loss when `rate` of the layers' inputs is dropped: end to end, or of one layer pair alone.

        One layer's input comes from the clean layers below it, which get no gradient (Vincent et al. 2010).
        """

        def apply(*args, method):
            return self._apply(*args, method=method, rngs={"dropout": key})

        if layer is None:
            return self._loss(x, apply(x, rate, method="__call__"))
        below = lax.stop_gradient(self._apply(x, 0.0, layer, method="encode"))
        out = apply(below, rate, layer, method="pair")
        return self._loss(x, out) if layer == 0 else jnp.mean((below - out) ** 2, axis=-1)

    def _loss(self, x: Float[Array, "b d"], out: Float[Array, "b d"]) -> Float[Array, " b"]:
        return self._apply(x, out, method="loss")


def build(network: config.Network, features: int, dtype: str = "float32", posterior: bool = False) -> Autoencoder:
    """Return the module of a config for inputs of width `features`, with a posterior where a method asks for one."""
    return Autoencoder(network, features, jnp.dtype(dtype), network.variational or posterior)


def parameter_table(module: Autoencoder) -> list[tuple[str, str, int]]:
    """Return (layer, kernel shape, parameters) of every layer in order, without allocating any."""
    shapes = jax.eval_shape(lambda key: Net.fresh(key, module).params, jax.random.key(0))["params"]
    shapes = {name: layer for name, layer in shapes.items() if isinstance(layer, dict)}  # no variances
    groups = ["embedding", "encoder", "posterior", "decoder"]
    order = sorted(shapes, key=lambda name: (groups.index(name.split("_")[0]), int(name.split("_")[1])))
    kernels = [" ".join("x".join(map(str, leaf.shape)) for leaf in jax.tree.leaves(shapes[name]) if leaf.ndim > 1)
               for name in order]
    return [(name, k, sum(leaf.size for leaf in jax.tree.leaves(shapes[name]))) for name, k in zip(order, kernels)]


def layer_table(layers: list[tuple[str, str, int]]) -> str:
    """Return the Markdown table of a `parameter_table`, with its total."""
    rows = [*layers, ("total", "", sum(count for *_, count in layers))]
    return markdown(["layer", "kernel", "parameters"], [[name, kernel, f"{count:,}"] for name, kernel, count in rows])
