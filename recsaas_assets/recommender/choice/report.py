"""What was chosen among, what each measured, and the runners-up with their intervals."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, JsonValue


class Contender(BaseModel):
    """A configuration that was fitted in full, with its best readout.

    `gain` is its NDCG@10 minus that of the first one, which is the configuration to start from unless that was clearly
    behind, `low` and `high` the 95 % interval; `expected_gain` is what is left of it when luck is taken off.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    ndcg_at_10: float
    gain: float
    low: float
    high: float
    expected_gain: float
    hyperparameters: dict[str, JsonValue]


class ChoiceReport(BaseModel):
    """The choice of a configuration on the validation period, by NDCG@10 of `users` users.

    `dropped` are the candidates that were given up after a few steps, with their NDCG@10 then.
    """

    model_config = ConfigDict(frozen=True)

    chosen: str
    users: int
    contenders: tuple[Contender, ...]
    dropped: dict[str, float] = {}
