"""A fastmd potential for i-PI, and for any other program that sends positions and asks for forces by i-PI's protocol: a client of theirs.

    i-pi input.xml & python client.py silicon.nnp start.extxyz --unix fastmd

START says which elements there are and where the structure is periodic; the server sends cells and positions. Several clients share the work
where the server has several replicas, such as the beads of a path integral. It ends when the server does.
"""

import argparse
import time

import ase.io
from ase.calculators.socketio import SocketClient

import fastmd


def connect(patience=60.0, **address):
    """The SocketClient, as soon as there is a server; SystemExit if none comes in so many seconds."""
    end = time.monotonic() + patience
    while True:
        try:
            return SocketClient(**address)
        except (ConnectionRefusedError, FileNotFoundError):
            if time.monotonic() > end:
                raise SystemExit(f"no server came in {patience:g} s at {address}") from None
            time.sleep(0.1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("potential", help="a .nnp file")
    parser.add_argument("start", help="any file ASE reads")
    parser.add_argument("--unix", metavar="NAME", help="a Unix socket, /tmp/ipi_NAME: what stands in <address> where the server's mode is unix")
    parser.add_argument("--host", default="localhost")
    parser.add_argument("--port", type=int, default=31415)
    given = parser.parse_args()
    atoms = ase.io.read(given.start)
    atoms.calc = fastmd.Calculator(given.potential)
    client = connect(unixsocket=given.unix) if given.unix else connect(host=given.host, port=given.port)
    try:
        client.run(atoms, use_stress=bool(atoms.pbc.all()))
    finally:
        client.close()


if __name__ == "__main__":
    main()
