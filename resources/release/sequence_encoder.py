"""The encoder of a sequence model: a causal transformer that makes a user's vector of the items the user met, in order.

It is what `recsaas_assets.recommender.sequence` trains (after SASRec, Kang and McAuley 2018), without torch: a service
needs the state after the newest item alone, so the last block works out one place and not all of them.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resources.base.errors import CorruptArtifact

Floats = NDArray[np.float32]

LAYER_NORM_EPSILON = 1e-5
SHORTEST = 1e-3
"""A state shorter than this is not scaled to length 1."""


@dataclass(frozen=True, slots=True, eq=False)
class SequenceEncoder:
    """The weights of a transformer of B blocks and H heads over vectors of t coordinates; all float32.

    With inputs x_1 … x_n (the newest n ≤ L items, oldest first) each block adds attention and then a hidden layer, both
    behind a layer normalisation; place p attends to q ≤ p by query · key / √w plus `distances[block, head, p - q]`.
    The user's vector is normalise(last place + `history_weight` · mean of the inputs).

    Attributes:
        distances: (B, H, L), how much an item that many places back counts.
        attention_scale, attention_shift: (B, t), of the layer normalisation before attention.
        attention_in: (B, t, 3·H·w), to queries, keys and values; `attention_out`: (B, H·w, t).
        hidden_scale, hidden_shift: (B, t), of the layer normalisation before the hidden layer.
        hidden_in: (B, t, h); `hidden_bias`: (B, h); `hidden_out`: (B, h, t).
        history_weight: (1,).
    """

    distances: Floats
    attention_scale: Floats
    attention_shift: Floats
    attention_in: Floats
    attention_out: Floats
    hidden_scale: Floats
    hidden_shift: Floats
    hidden_in: Floats
    hidden_bias: Floats
    hidden_out: Floats
    history_weight: Floats

    @property
    def length(self) -> int:
        """L: how many items are read."""
        return int(self.distances.shape[2])

    @property
    def width(self) -> int:
        """T: coordinates of the inputs and of the vector."""
        return int(self.attention_scale.shape[1])

    @property
    def nbytes(self) -> int:
        """Bytes of all weights."""
        return sum(int(getattr(self, field.name).nbytes) for field in fields(self))

    def state(self, inputs: Floats) -> Floats:
        """Return the vector `(t,)` of length 1 after these inputs `(n, t)`, oldest first; only the newest L count.

        Without any, zeros.
        """
        if len(inputs) == 0:
            return np.zeros(self.width, dtype=np.float32)
        read = inputs[-self.length :]
        places = read
        last = len(self.distances) - 1
        for block in range(last + 1):
            places = self._block(block, places, only_newest=block == last)
        state = places[-1] + self.history_weight[0] * read.mean(axis=0)
        scaled: Floats = (state / max(float(np.linalg.norm(state)), SHORTEST)).astype(np.float32)
        return scaled

    def to_bytes(self) -> bytes:
        """The weights as an `.npz` file."""
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **{field.name: getattr(self, field.name) for field in fields(self)})
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes, *, width: int) -> SequenceEncoder:
        """Read what `to_bytes` wrote.

        Args:
            width: of the vectors that it is to read.

        Raises:
            CorruptArtifact: it is no such file, or its arrays do not fit together or `width`.
        """
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as archive:
                encoder = cls(**{field.name: archive[field.name] for field in fields(cls)})
        except (zipfile.BadZipFile, EOFError, KeyError, ValueError, OSError) as error:
            raise CorruptArtifact("sequence encoder: is not readable; build the release again.") from error
        encoder.check(width)
        return encoder

    def check(self, width: int) -> None:
        """Refuse weights that do not fit together, or not the width of the inputs.

        Raises:
            CorruptArtifact: names the array.
        """
        arrays: dict[str, NDArray[Any]] = {field.name: getattr(self, field.name) for field in fields(self)}
        if self.distances.ndim != 3 or self.attention_out.ndim != 3 or self.hidden_bias.ndim != 2:
            raise _wrong("distances", "has not the dimensions of a transformer")
        blocks, heads, length = self.distances.shape
        inner, hidden = self.attention_out.shape[1], self.hidden_bias.shape[1]
        shapes = {
            "distances": (blocks, heads, length),
            "attention_in": (blocks, width, 3 * inner),
            "attention_out": (blocks, inner, width),
            "hidden_in": (blocks, width, hidden),
            "hidden_bias": (blocks, hidden),
            "hidden_out": (blocks, hidden, width),
            "history_weight": (1,),
        }
        if 0 in (blocks, heads, length) or inner % heads:
            raise _wrong("distances", "leaves a block without heads, or parts them unevenly")
        for name, array in arrays.items():
            expected = shapes.get(name, (blocks, width))
            if array.dtype != np.float32 or array.shape != expected:
                raise _wrong(name, f"has type {array.dtype} and shape {array.shape}, expected float32 {expected}")
            if not np.isfinite(array).all():
                raise _wrong(name, "holds a value that is not finite")

    def _block(self, block: int, places: Floats, *, only_newest: bool) -> Floats:
        """The places `(n, t)` after one block; the newest alone, `(1, t)`, when no later block reads the others."""
        heads, count = self.distances.shape[1], len(places)
        normed = _layer_norm(places, self.attention_scale[block], self.attention_shift[block])
        mixed = (normed @ self.attention_in[block]).reshape(count, 3, heads, -1)
        asked = np.arange(count - 1, count) if only_newest else np.arange(count)
        queries, keys, values = mixed.transpose(1, 2, 0, 3)
        queries = queries[:, asked] * np.float32(mixed.shape[3] ** -0.5)
        back = asked[:, None] - np.arange(count)
        logits = queries @ keys.transpose(0, 2, 1) + self.distances[block][:, np.maximum(back, 0)]
        logits = np.where(back < 0, np.float32(-np.inf), logits)
        shares = np.exp(logits - logits.max(axis=2, keepdims=True))
        shares /= shares.sum(axis=2, keepdims=True)
        attended = (shares @ values).transpose(1, 0, 2).reshape(len(asked), -1)
        places = places[asked] + attended @ self.attention_out[block]
        normed = _layer_norm(places, self.hidden_scale[block], self.hidden_shift[block])
        raised = np.maximum(normed @ self.hidden_in[block] + self.hidden_bias[block], 0)
        after: Floats = places + raised @ self.hidden_out[block]
        return after


def _layer_norm(rows: Floats, scale: Floats, shift: Floats) -> Floats:
    centred = rows - rows.mean(axis=1, keepdims=True)
    spread = np.sqrt(np.square(centred).mean(axis=1, keepdims=True) + np.float32(LAYER_NORM_EPSILON))
    normed: Floats = centred / spread * scale + shift
    return normed


def _wrong(name: str, problem: str) -> CorruptArtifact:
    return CorruptArtifact(f"sequence encoder: {name} {problem}; build the release again.")
