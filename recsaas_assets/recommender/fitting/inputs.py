"""The inputs of a fit, whatever the type of the model."""

from __future__ import annotations

from dataclasses import dataclass

from recsaas_assets.recommender.data.arrays import Vectors
from recsaas_assets.recommender.data.pairs import Pairs
from resources.base.errors import InvalidInput


@dataclass(frozen=True, slots=True, eq=False)
class FitInputs:
    """The pairs of a fit and what decides its course, apart from the configuration of the model.

    Attributes:
        pairs: user rows lie below `n_users`, item rows below `n_items`.
        validation: pairs in the same rows; with them the fit stops early and returns its best epoch.
        stop_after: ends the fit at that epoch on the same learning rate schedule: a refit on more data for as long as
            validation said. None: the steps of the configuration.
        initial: E0 of users (n_users, t) and items (n_items, t) to start from; a row with NaN starts at random. Only
            LightGCN starts from them.
    """

    pairs: Pairs
    n_users: int
    n_items: int
    seed: int
    validation: Pairs | None = None
    stop_after: int | None = None
    initial: tuple[Vectors, Vectors] | None = None

    def epochs(self, configured: int) -> int:
        """The most epochs that the fit may take when its configuration says `configured`."""
        return min(configured, self.stop_after or configured)

    def require_pairs(self) -> None:
        """Refuse to fit on nothing.

        Raises:
            InvalidInput: there is no pair.
        """
        if len(self.pairs) == 0:
            raise InvalidInput("There is no user × item pair to fit on; upload interactions with a positive signal.")
