"""moto's server: everything in memory, signatures not checked."""

from processes import Ports


def start(installation, processes, folder, keys):
    installation.pip("moto[server]")
    (port,) = Ports.take(1)
    command = [
        installation.python, "-c", "import sys; from moto.server import main; main(sys.argv[1:])",
        "-H", "127.0.0.1", "-p", str(port),
    ]
    processes.start("moto", command)
    return processes.wait_answering("moto", port, 120)
