"""The loss of the two-tower model, against what it stands for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from recsaas_assets.recommender.data.pairs import Pairs
from recsaas_assets.recommender.two_tower.objective import PairBlocks, TwoTowerObjective, shuffled_blocks
from recsaas_assets.recommender.two_tower.towers import History, Layer, Towers
from resources.tenants.model_configs import TwoTowerConfig

N_USERS, N_ITEMS, DIM = 12, 9, 4
CONFIG = TwoTowerConfig(
    dim=DIM,
    popularity_weight=0,
    hidden=5,
    negatives=20_000,
    user_block=5,
    positive_weight="binary",
    half_life_days=None,
)


def make_pairs() -> Pairs:
    rng = np.random.default_rng(0)
    return Pairs.of(rng.integers(0, N_USERS, 60), (N_ITEMS * rng.random(60) ** 2).astype(int))


def make_towers(*, dtype: torch.dtype = torch.float32) -> Towers:
    generator = torch.Generator().manual_seed(1)

    def layer(width: int) -> Layer:
        return Layer.start(width, 5, DIM, std=1.0, generator=generator)

    users = torch.randn(N_USERS, DIM, generator=generator)
    towers = Towers(users, torch.randn(N_ITEMS, DIM, generator=generator), layer(2 * DIM), layer(DIM), 1.0)
    for parameter in towers.parameters():
        parameter.data = parameter.data.to(dtype)
        parameter.requires_grad_()
    return towers


def make_objective(config: TwoTowerConfig) -> TwoTowerObjective:
    return TwoTowerObjective(
        make_pairs(), N_ITEMS, config, user_inputs=torch.zeros(N_USERS, 0), item_inputs=torch.zeros(N_ITEMS, 0)
    )


@pytest.mark.parametrize("exponent", [0.0, 1.0])
@pytest.mark.parametrize("prior", [0.0, 1.0])
def test_with_the_correction_the_sample_stands_for_all_items(exponent: float, prior: float) -> None:
    """Sampled by popularity or evenly: the loss is that of the softmax over the catalogue (all items have users)."""
    config = CONFIG.model_copy(
        update={"negative_exponent": exponent, "popularity_prior": prior, "target_share": 1 - 1e-9, "temperature": 0.5}
    )
    pairs, towers = make_pairs(), make_towers()
    degrees = torch.from_numpy(pairs.users_per_item(N_ITEMS)).float()
    assert degrees.min() > 0
    block = PairBlocks(pairs, N_USERS, config).of(np.arange(N_USERS))
    loss = make_objective(config).loss(towers, block, torch.Generator().manual_seed(0))
    nobody = History.of(block.owner[:0], block.items[:0], block.weights[:0], N_USERS)
    users = towers.users(towers.user_ids, nobody, torch.zeros(N_USERS, 0))
    scores = users @ towers.items(towers.item_ids, torch.zeros(N_ITEMS, 0)).T / 0.5 + prior * degrees.log()
    exact = -torch.log_softmax(scores, dim=1)[block.owner, block.items].mean()
    assert loss is not None
    assert float(loss.detach()) == pytest.approx(float(exact.detach()), abs=0.02)


def test_a_target_is_not_among_the_history_it_is_predicted_from() -> None:
    """One pair per user: either it is the target and the history is empty, or there is nothing to predict."""
    pairs = Pairs.of([0, 1, 2], [0, 1, 2])
    config = CONFIG.model_copy(update={"negatives": 4})
    towers = make_towers()
    seen: list[int] = []
    ask = towers.users

    def users(ids: torch.Tensor, history: History, inputs: torch.Tensor) -> torch.Tensor:
        seen.append(len(history.items))
        return ask(ids, history, inputs)

    towers.users = users  # type: ignore[method-assign]
    objective = TwoTowerObjective(
        pairs, N_ITEMS, config, user_inputs=torch.zeros(3, 0), item_inputs=torch.zeros(N_ITEMS, 0)
    )
    blocks = PairBlocks(pairs, 3, config)
    targets = 0
    for seed in range(20):
        target = torch.rand(1, generator=torch.Generator().manual_seed(seed)).item() < config.target_share
        loss = objective.loss(towers, blocks.of(np.array([1])), torch.Generator().manual_seed(seed))
        assert (loss is not None) == target
        targets += target
    assert seen == [0] * targets and 0 < targets < 20


def test_every_parameter_has_its_gradient() -> None:
    """Against finite differences, in double precision, with the draw held fixed."""
    config = CONFIG.model_copy(update={"negatives": 6, "temperature": 1.0})
    towers = make_towers(dtype=torch.float64)
    objective, block = make_objective(config), PairBlocks(make_pairs(), N_USERS, config).of(np.arange(N_USERS))
    block = type(block)(block.users, block.owner, block.items, block.weights.double())
    objective._user_inputs, objective._item_inputs = (
        each.double() for each in (objective._user_inputs, objective._item_inputs)
    )

    def loss() -> torch.Tensor:
        found = objective.loss(towers, block, torch.Generator().manual_seed(3))
        assert found is not None
        return found

    parameters = list(towers.parameters())
    gradients = torch.autograd.grad(loss(), parameters)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        assert gradient.abs().max() > 0
        place = tuple(int(each) for each in np.unravel_index(int(gradient.abs().argmax()), gradient.shape))
        with torch.no_grad():
            parameter[place] += 1e-5
            above = loss()
            parameter[place] -= 2e-5
            below = loss()
            parameter[place] += 1e-5
        assert float((above - below) / 2e-5) == pytest.approx(float(gradient[place]), rel=1e-3)


def test_blocks_hold_every_user_with_pairs_once_and_all_their_pairs() -> None:
    pairs = make_pairs().of_users(np.arange(N_USERS) != 4)
    blocks = PairBlocks(pairs, N_USERS, CONFIG)
    found = list(shuffled_blocks(blocks.active, 5, torch.Generator().manual_seed(0)))
    assert [len(each) for each in found] == [5, 5, 1]
    assert sorted(np.concatenate(found)) == [user for user in range(N_USERS) if user != 4]
    of_all = [
        (int(block.users[owner]), int(item))
        for block in map(blocks.of, found)
        for owner, item in zip(block.owner, block.items, strict=True)
    ]
    assert sorted(of_all) == list(zip(pairs.user_row.tolist(), pairs.item_row.tolist(), strict=True))


def test_pairs_without_weight_are_no_targets() -> None:
    blocks = PairBlocks(make_pairs(), N_USERS, CONFIG)
    block = blocks.of(blocks.active)
    nothing = replace(block, weights=torch.zeros_like(block.weights))
    assert make_objective(CONFIG).loss(make_towers(), nothing, torch.Generator().manual_seed(0)) is None
