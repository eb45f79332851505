"""A shop with a planted pair of complements, a planted pair of substitutes, and items that have nothing to do with each
other.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

from recsaas_assets.recommender.data.id_map import IdMap

START = datetime(2026, 1, 1, tzinfo=UTC)
PHONE, CASE = "phone", "case"
LAMP_A, LAMP_B = "lamp-a", "lamp-b"
OTHERS = tuple(f"other-{number:02d}" for number in range(20))
ITEMS = IdMap.from_ids([PHONE, CASE, LAMP_A, LAMP_B, *OTHERS])
USERS = IdMap.from_ids(f"u{number:03d}" for number in range(600))
Line = tuple[str, str, str, datetime]


def shop(*, seed: int = 0, views: bool = True) -> pl.DataFrame:
    """Three visits of each user, a day apart.

    A phone is bought with its case half of the time. Whoever looks for a lamp looks at both, mostly buys one, and both
    once in a while: more often than chance among all visits has it, as others buy no lamps at all.
    """
    rng = np.random.default_rng(seed)
    lines: list[Line] = []
    for number, user in enumerate(USERS.ids):
        for visit in range(3):
            at = START + timedelta(days=number % 60 + 90 * visit, minutes=number)
            looked = set(rng.choice(OTHERS, size=3, replace=False).tolist())
            bought = {item for item in sorted(looked) if rng.random() < 0.5}
            if rng.random() < 0.2:
                looked |= {PHONE, CASE}
                bought |= {PHONE, CASE} if rng.random() < 0.5 else ({PHONE} if rng.random() < 0.3 else set())
            if number % 12 == 0:
                looked |= {LAMP_A, LAMP_B}
                taken = {LAMP_A, LAMP_B} if rng.random() < 0.16 else {LAMP_A if rng.random() < 0.5 else LAMP_B}
                bought |= taken if rng.random() < 0.8 else set()
            if views:
                lines += [(user, item, "view", at) for item in sorted(looked)]
            lines += [(user, item, "purchase", at + timedelta(minutes=9)) for item in sorted(bought)]
    return pl.DataFrame(lines, schema=["user_id", "item_id", "interaction_type", "timestamp"], orient="row")
