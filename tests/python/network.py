"""A network between a client and a server of this machine, that can be cut."""

import contextlib
import socket
import threading


class Network:
    """Passes on what comes to one address to another, until it is cut, at once or after so many bytes of the server's."""

    def __init__(self, address, server):
        self.address, self.server = [(host, int(port)) for host, port in (a.split(":") for a in (address, server))]
        self.lock, self.open, self.listener = threading.Lock(), [], None
        self.left, self.is_cut = None, threading.Event()
        self.mend()

    def mend(self):
        self.is_cut.clear()
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(self.address)
        listener.listen()
        self.listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def cut(self):
        with self.lock:
            self.left = None
            sockets, self.open = [*self.open, self.listener], []
        for s in sockets:
            # Whoever waits at it is woken.
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)
            s.close()
        self.is_cut.set()

    def cut_after(self, size):
        with self.lock:
            self.left = size

    def _accept(self, listener):
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.create_connection(self.server)
                with self.lock:
                    self.open += [client, server]
                threading.Thread(target=self._pass, args=(client, server, False), daemon=True).start()
                threading.Thread(target=self._pass, args=(server, client, True), daemon=True).start()

    def _pass(self, source, target, counts):
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                if counts and self._is_over(len(data)):
                    target.sendall(data[: len(data) // 2])
                    self.cut()
                    return
                target.sendall(data)

    def _is_over(self, size):
        with self.lock:
            if self.left is None:
                return False
            self.left -= size
            return self.left <= 0
