"""Ports that stay with a mesh."""

import socket
import sys

import pytest

from harmonia_local.ports import Ports


def listening(port: int) -> socket.socket:
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind(("127.0.0.1", port))
    server.listen()
    return server


def test_a_server_can_listen_on_a_port_that_is_held_and_listen_again() -> None:
    with Ports() as ports:
        port = ports.take()
        for _ in range(2):
            with listening(port) as server:
                assert server.getsockname()[1] == port


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a held port could not be listened on")
def test_a_held_port_goes_to_nobody_who_asks_for_any_port() -> None:
    with Ports() as ports, Ports() as others:
        mine = {ports.take() for _ in range(50)}
        theirs = {others.take() for _ in range(500)}

        assert len(mine) == 50
        assert not mine & theirs


def test_the_preferred_port_goes_to_the_first_of_two_meshes_that_start_at_once() -> None:
    with Ports() as finder:
        wanted = finder.take()
    with Ports() as first, Ports() as second:
        assert first.take_preferring(wanted) == wanted
        assert second.take_preferring(wanted) not in (0, wanted)


def test_a_port_on_which_a_server_listens_is_not_taken() -> None:
    with Ports() as finder:
        wanted = finder.take()
    with listening(wanted), Ports() as ports:
        assert ports.take_preferring(wanted) != wanted


def test_a_preferred_port_is_free_again_when_the_mesh_is_gone() -> None:
    with Ports() as finder:
        wanted = finder.take()
    for _ in range(2):
        with Ports() as ports:
            assert ports.take_preferring(wanted) == wanted
