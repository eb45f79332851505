"""Ports of the platform: the wanted one, or the next that is free."""

from __future__ import annotations

import socket

from resources.base.errors import ConfigurationError

_BACKLOG = 2048


def listener(host: str, wanted: int) -> socket.socket:
    """A socket that listens on the wanted port, or on the next free one after it; 0 means any.

    Raises:
        ConfigurationError: no free port among the next 100, or `host` is not an address of this machine.
    """
    for port in [0] if wanted == 0 else range(wanted, min(wanted + 100, 65536)):
        try:
            return socket.create_server(
                (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=_BACKLOG
            )
        except PermissionError:
            continue
        except OSError as error:
            if error.errno not in (98, 48):  # address in use, on Linux and on macOS
                raise ConfigurationError(
                    f"Cannot listen on {host}: {error.strerror}. Check RECSAAS_HOST and RECSAAS_DAGSTER_HOST."
                ) from error
    raise ConfigurationError(f"No free port among {wanted} to {wanted + 99} on {host}; set another one.")


def free_port(host: str, wanted: int) -> int:
    """The port that `listener` would take, for a program that listens by itself.

    Raises:
        ConfigurationError: as for `listener`.
    """
    with listener(host, wanted) as found:
        return int(found.getsockname()[1])
