"""The transformer in torch, for fitting; `resources.release.sequence_encoder` says what it computes, and answers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

import torch
from torch.nn import functional

from resources.release.sequence_encoder import LAYER_NORM_EPSILON, SHORTEST, SequenceEncoder
from resources.tenants.model_configs import SequenceConfig

_SMALL = 0.02
"""Deviation at the start of what leads out of a layer: at first the inputs go through nearly as they are."""


@dataclass(eq=False)
class Transformer:
    """The weights of `SequenceEncoder`, by the same names and in the same shapes, but for the history weight."""

    distances: torch.Tensor
    attention_scale: torch.Tensor
    attention_shift: torch.Tensor
    attention_in: torch.Tensor
    attention_out: torch.Tensor
    hidden_scale: torch.Tensor
    hidden_shift: torch.Tensor
    hidden_in: torch.Tensor
    hidden_bias: torch.Tensor
    hidden_out: torch.Tensor

    @classmethod
    def start(cls, config: SequenceConfig, generator: torch.Generator) -> Transformer:
        """Random weights for vectors of `config.learned_dim` coordinates."""
        width, blocks, heads = config.learned_dim, config.blocks, config.heads
        inner = heads * -(-width // heads)

        def normal(*shape: int, std: float) -> torch.Tensor:
            return torch.randn(*shape, generator=generator) * std

        return cls(
            distances=torch.zeros(blocks, heads, config.length),
            attention_scale=torch.ones(blocks, width),
            attention_shift=torch.zeros(blocks, width),
            attention_in=normal(blocks, width, 3 * inner, std=width**-0.5),
            attention_out=normal(blocks, inner, width, std=_SMALL),
            hidden_scale=torch.ones(blocks, width),
            hidden_shift=torch.zeros(blocks, width),
            hidden_in=normal(blocks, width, config.hidden, std=width**-0.5),
            hidden_bias=torch.zeros(blocks, config.hidden),
            hidden_out=normal(blocks, config.hidden, width, std=_SMALL),
        )

    def parameters(self) -> Iterator[torch.Tensor]:
        """Every weight, always in the same order."""
        yield from (getattr(self, field.name) for field in fields(self))

    def states(
        self, inputs: torch.Tensor, history_weight: float, *, dropout: float = 0.0, generator: torch.Generator
    ) -> torch.Tensor:
        """The vectors after each place, (B, L, t) of length 1, for inputs (B, L, t); padding stands behind the items.

        A place sees itself and those before it alone.
        """
        count = inputs.shape[1]
        back = torch.arange(count)[:, None] - torch.arange(count)
        places = read = _dropped(inputs, dropout, generator)
        for block in range(len(self.distances)):
            bias = self.distances[block][:, back.clamp_min(0)].masked_fill(back < 0, -torch.inf)
            places = places + _dropped(self._attention(block, places, bias), dropout, generator)
            normed = self._normed(places, self.hidden_scale[block], self.hidden_shift[block])
            raised = functional.relu(normed @ self.hidden_in[block] + self.hidden_bias[block])
            places = places + _dropped(raised @ self.hidden_out[block], dropout, generator)
        means = read.cumsum(dim=1) / torch.arange(1, count + 1)[:, None]
        return functional.normalize(places + history_weight * means, dim=2, eps=SHORTEST)

    def released(self, history_weight: float) -> SequenceEncoder:
        """The same weights as a service reads them."""
        arrays = {field.name: getattr(self, field.name).detach().numpy().copy() for field in fields(self)}
        return SequenceEncoder(**arrays, history_weight=torch.tensor([history_weight]).numpy())

    def _attention(self, block: int, places: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        windows, count, _ = places.shape
        normed = self._normed(places, self.attention_scale[block], self.attention_shift[block])
        mixed = (normed @ self.attention_in[block]).view(windows, count, 3, len(bias), -1)
        queries, keys, values = mixed.permute(2, 0, 3, 1, 4)
        shares = torch.softmax(queries @ keys.transpose(2, 3) * queries.shape[3] ** -0.5 + bias, dim=3)
        attended: torch.Tensor = (shares @ values).transpose(1, 2).reshape(windows, count, -1)
        return attended @ self.attention_out[block]

    def _normed(self, places: torch.Tensor, scale: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
        return functional.layer_norm(places, scale.shape, scale, shift, LAYER_NORM_EPSILON)


def _dropped(values: torch.Tensor, share: float, generator: torch.Generator) -> torch.Tensor:
    """``values`` with a share of them at zero and the others larger by as much (Srivastava et al. 2014)."""
    if share == 0:
        return values
    kept = torch.empty_like(values).bernoulli_(1 - share, generator=generator)
    return values * kept / (1 - share)
