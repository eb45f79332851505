"""What a list is made of, by the wish of whoever asks."""

from __future__ import annotations

from typing import Literal

Strategy = Literal["personal", "popular", "trending", "newest"]
"""What suits the user; what most people want; what more people want than before; what came last. The last three do not
depend on the user, but for what is left out because it was seen."""
