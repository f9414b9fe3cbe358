"""A listener on a container's own loopback, so that an agent and a test meet without any other address."""

import ctypes
import os
import socket
import threading

_CLONE_NEWNET = 0x40000000
_LIBC = ctypes.CDLL(None, use_errno=True)


def listen_inside(pid: int, port: int) -> socket.socket:
    """Return a socket that listens on 127.0.0.1:`port` in the network namespace of a process. Needs root.

    A thread of its own enters the namespace and ends there: a socket stays in the namespace it was made in.
    """
    made: list[socket.socket] = []
    failed: list[OSError] = []

    def make() -> None:
        try:
            descriptor = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            try:
                if _LIBC.setns(descriptor, _CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), "setns")
            finally:
                os.close(descriptor)
            made.append(socket.create_server(("127.0.0.1", port), backlog=16))
        except OSError as error:
            failed.append(error)

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return made[0]
