"""Ids that nobody has described, and that seem to mean one that is: they differ by what programs do to ids."""

from __future__ import annotations

import polars as pl


def compare_ids(named: pl.LazyFrame, described: pl.LazyFrame) -> pl.DataFrame:
    """Return the ids (`named`) without an equal one among `described`, each with one that it seems to mean (`meant`).

    Both frames have the column `id` of different ids.
    """
    stray = named.join(described, on="id", how="anti").select(named=pl.col("id"), folded=_folded(pl.col("id")))
    known = described.select(meant=pl.col("id"), folded=_folded(pl.col("id")))
    known = known.group_by("folded").agg(pl.col("meant").min())
    return (
        stray.join(known.filter(pl.col("folded") != ""), on="folded", how="inner")
        .select("named", "meant")
        .sort("named")
        .collect()
    )


def difference(one: str, other: str) -> str:
    """Say by what two ids differ that mean the same thing."""
    if one.casefold() == other.casefold():
        return "case"
    if one.lstrip("0") == other.lstrip("0"):
        return "leading zeros"
    if one.endswith(other) or other.endswith(one):
        return "a prefix"
    if "".join(one.split()) == "".join(other.split()):
        return "blanks"
    return "decimals" if one.removesuffix(".0") == other.removesuffix(".0") else "characters around them"


def _folded(text: pl.Expr) -> pl.Expr:
    """What is left of an id without all that programs do to ids."""
    bare = text.str.normalize("NFKC").str.to_lowercase().str.replace_all(r"""[\s\p{Cf}'"=]""", "")
    bare = bare.str.replace(r"^.*[/:]", "").str.replace(r"\.0+$", "")
    return bare.str.strip_chars_start("0")
