"""The transformer in torch, and the same in numpy as a service has it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recsaas_assets.recommender.sequence.encoder import Transformer
from resources.base.errors import CorruptArtifact
from resources.release.sequence_encoder import SequenceEncoder
from resources.tenants.model_configs import SequenceConfig


def transformer(config: SequenceConfig, seed: int = 0) -> Transformer:
    """Weights far from the start, so that every part of it counts."""
    generator = torch.Generator().manual_seed(seed)
    made = Transformer.start(config, generator)
    for each in made.parameters():
        each.add_(torch.randn(each.shape, generator=generator) * 0.3)
    return made


def sequences(config: SequenceConfig, count: int, length: int) -> torch.Tensor:
    inputs = torch.randn(count, length, config.learned_dim, generator=torch.Generator().manual_seed(1))
    return torch.nn.functional.normalize(inputs, dim=2)


def states(made: Transformer, inputs: torch.Tensor, weight: float = 0.7) -> torch.Tensor:
    return made.states(inputs, weight, generator=torch.Generator())


@pytest.mark.parametrize(("blocks", "heads", "dim"), [(1, 1, 64), (2, 2, 64), (3, 3, 8), (1, 2, 2)])
def test_numpy_and_torch_agree_at_every_length(blocks: int, heads: int, dim: int) -> None:
    config = SequenceConfig(blocks=blocks, heads=heads, dim=dim, hidden=7, length=20)
    made, inputs = transformer(config), sequences(config, 3, 20)
    expected, released = states(made, inputs).numpy(), made.released(0.7)
    for row in range(3):
        for length in range(1, 21):
            state = released.state(inputs[row, :length].numpy())
            assert state.dtype == np.float32
            np.testing.assert_allclose(state, expected[row, length - 1], atol=1e-5)


def test_only_the_newest_items_are_read() -> None:
    config = SequenceConfig(dim=8, length=5)
    released, inputs = transformer(config).released(1.0), sequences(config, 1, 9)[0].numpy()
    assert np.array_equal(released.state(inputs), released.state(inputs[-5:]))
    assert not np.array_equal(released.state(inputs), released.state(inputs[-4:]))


def test_a_later_item_never_changes_an_earlier_state() -> None:
    config = SequenceConfig(dim=16, blocks=2, heads=3, length=12)
    made, inputs = transformer(config), sequences(config, 2, 12)
    changed = inputs.clone()
    changed[:, 7:] = sequences(config, 5, 12)[3:, 7:]
    before, after = states(made, inputs), states(made, changed)
    assert torch.equal(before[:, :7], after[:, :7])
    assert (before[:, 7:] != after[:, 7:]).any(dim=2).all()


def test_the_order_of_the_items_matters() -> None:
    config = SequenceConfig(dim=16, length=12)
    made, inputs = transformer(config), sequences(config, 1, 12)
    assert not torch.allclose(states(made, inputs)[:, -1], states(made, inputs.flip(1))[:, -1], atol=1e-3)


def test_dropout_is_drawn_from_the_generator_of_the_fit() -> None:
    config = SequenceConfig(dim=8)
    made, inputs = transformer(config), sequences(config, 2, 9)

    def drawn(seed: int) -> torch.Tensor:
        torch.manual_seed(seed + 100)
        return made.states(inputs, 1.0, dropout=0.5, generator=torch.Generator().manual_seed(seed // 2))

    assert torch.equal(drawn(0), drawn(1)) and not torch.equal(drawn(0), drawn(2))


def test_without_items_there_is_no_state() -> None:
    released = transformer(SequenceConfig(dim=8)).released(1.0)
    assert released.state(np.zeros((0, 7), np.float32)).tolist() == [0] * 7


def test_what_was_written_is_read() -> None:
    released = transformer(SequenceConfig(dim=8, heads=2, blocks=2)).released(0.5)
    again = SequenceEncoder.from_bytes(released.to_bytes(), width=7)
    inputs = sequences(SequenceConfig(dim=8), 1, 9)[0].numpy()
    assert np.array_equal(again.state(inputs), released.state(inputs))
    assert again.to_bytes() == released.to_bytes() and again.nbytes == released.nbytes > 0


def test_damaged_weights_are_refused() -> None:
    released = transformer(SequenceConfig(dim=8)).released(0.5)
    data = released.to_bytes()
    for broken in (b"", b"PK", data[:200], data[:-40]):
        with pytest.raises(CorruptArtifact, match="not readable"):
            SequenceEncoder.from_bytes(broken, width=7)
    with pytest.raises(CorruptArtifact, match="attention_scale has type"):
        SequenceEncoder.from_bytes(data, width=6)
    released.hidden_bias[0, 0] = np.nan
    with pytest.raises(CorruptArtifact, match="hidden_bias holds a value that is not finite"):
        SequenceEncoder.from_bytes(released.to_bytes(), width=7)
