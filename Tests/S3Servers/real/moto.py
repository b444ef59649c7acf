"""moto's server: everything in memory, signatures not checked."""

from processes import answers, free_ports


def start(installation, processes, folder, keys):
    installation.pip("moto[server]")
    (port,) = free_ports(1)
    command = [
        installation.python, "-c", "import sys; from moto.server import main; main(sys.argv[1:])",
        "-H", "127.0.0.1", "-p", str(port),
    ]
    process = processes.start("moto", command)
    endpoint = f"http://127.0.0.1:{port}"
    processes.wait(process, "moto", 60, lambda: answers(endpoint))
    return endpoint
