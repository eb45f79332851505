"""What can be wrong with a PostgreSQL database before anything is: its version, letters, limits, clock and distance."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median

from sqlalchemy import Engine, text

from resources.databases.postgresql import most_connections

OLDEST = 14
"""The oldest PostgreSQL that its makers still mended when this was written."""
SLOW_SECONDS = 0.01
"""A server farther away than this makes every answer wait."""
CLOCK_SECONDS = 5.0
"""How far two clocks may differ: a claim outlives its process by twice as much."""
_ASKED = 7
_FACTS = """
SELECT current_setting('server_version_num')::int AS number, current_setting('server_version') AS version,
  pg_encoding_to_char(encoding) AS encoding, datcollate AS collation,
  current_setting('max_connections')::int AS most_connections,
  (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS connections,
  has_schema_privilege(current_schema(), 'CREATE') AS may_create,
  pg_is_in_recovery() AS read_only, current_setting('fsync')::bool AS fsync
FROM pg_database WHERE datname = current_database()
"""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is wrong, and what to do about it."""

    what: str
    advice: str


@dataclass(frozen=True, slots=True)
class ServerHealth:
    """What a server says of itself. `latency` and `skew` in seconds; a skew above 0: its clock is ahead of ours."""

    version: str
    number: int
    encoding: str
    collation: str
    connections: int
    most_connections: int
    ours: int
    may_create: bool
    read_only: bool
    fsync: bool
    latency: float
    skew: float

    def describe(self) -> str:
        """One line for a person."""
        return (
            f"PostgreSQL {self.version}, {self.encoding}, order {self.collation}, "
            f"{self.connections} of {self.most_connections} connections, up to {self.ours} of this process, "
            f"{self.latency * 1000:.1f} ms away, clock {self.skew:+.1f} s"
        )

    def problems(self) -> tuple[Problem, ...]:
        """What is wrong, the worst first."""
        major = self.number // 10_000
        found = (
            (self.read_only, "it is a replica that takes no writes", "Name the primary server."),
            (major < OLDEST, f"version {self.version} is too old", f"Use PostgreSQL {OLDEST} or newer."),
            (
                self.encoding != "UTF8",
                f"its encoding is {self.encoding}",
                "Make a database with ENCODING 'UTF8' TEMPLATE template0, and move to it.",
            ),
            (
                not self.may_create,
                "its user may not make tables",
                "GRANT CREATE ON SCHEMA public to the user: every new version brings migrations.",
            ),
            (not self.fsync, "fsync is off", "Turn fsync on: what was acknowledged is lost with the power otherwise."),
            (
                self.collation not in ("C", "POSIX", "C.UTF-8", "C.utf8"),
                f"it puts letters in the order of {self.collation}",
                "Make it with LC_COLLATE 'C': an upgrade of the operating system can change the order of a language, "
                "and indexes made in the old one miss rows then. Or REINDEX DATABASE after each.",
            ),
            (
                self.most_connections - self.connections < self.ours,
                f"{self.connections} of {self.most_connections} connections are taken, and this process may want "
                f"{self.ours}",
                "Raise max_connections, or let each process have fewer: ?connections=8 at the end of the URL.",
            ),
            (
                abs(self.skew) > CLOCK_SECONDS,
                f"its clock differs from this machine's by {self.skew:+.0f} s",
                "Let both take their time from one place (NTP).",
            ),
            (
                self.latency > SLOW_SECONDS,
                f"it takes {self.latency * 1000:.0f} ms to answer nothing",
                "Put it into the network of the service: every answer asks it.",
            ),
        )
        return tuple(Problem(what, advice) for wrong, what, advice in found if wrong)


def look_at_server(engine: Engine) -> ServerHealth:
    """Ask a PostgreSQL server about itself.

    Raises:
        OperationalError: it does not answer, or lets nobody in.
    """
    with engine.connect() as connection:
        facts = connection.execute(text(_FACTS)).mappings().one()
        seconds = []
        for _ in range(_ASKED):
            began = time.perf_counter()
            connection.execute(text("SELECT 1"))
            seconds.append(time.perf_counter() - began)
        before = datetime.now(UTC)
        server = connection.scalar(text("SELECT clock_timestamp()"))
        after = datetime.now(UTC)
    assert isinstance(server, datetime)
    return ServerHealth(
        **facts,
        ours=most_connections(engine),
        latency=median(seconds),
        skew=(server - (before + (after - before) / 2)).total_seconds(),
    )
