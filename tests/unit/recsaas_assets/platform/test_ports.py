"""Where the platform listens."""

from __future__ import annotations

import socket

import pytest

from recsaas_assets.platform.ports import free_port, listener
from resources.base.errors import ConfigurationError

LOCAL = "127.0.0.1"


def test_the_wanted_port_when_it_is_free_and_the_next_one_when_it_is_not() -> None:
    with socket.socket() as busy:
        busy.bind((LOCAL, 0))
        busy.listen()
        port = busy.getsockname()[1]
        found = free_port(LOCAL, port)
        assert port < found < port + 100
        assert free_port(LOCAL, found) == found


def test_port_zero_means_any() -> None:
    assert free_port(LOCAL, 0) > 1023


def test_no_port_left_and_an_address_of_another_machine() -> None:
    with socket.create_server((LOCAL, 65535)), pytest.raises(ConfigurationError, match="No free port among 65535"):
        free_port(LOCAL, 65535)
    with pytest.raises(ConfigurationError, match="RECSAAS_HOST"):
        free_port("192.0.2.1", 8000)


def test_it_takes_connections_before_anybody_answers_them() -> None:
    with listener(LOCAL, 0) as listening, socket.create_connection(listening.getsockname()):
        pass
