"""Flower's own commands as processes: superlink, supernodes and `flwr`, kept from the network beyond loopback."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fi_workbench.transport.hosted.certificates import own_certificate

START_SECONDS, STOP_SECONDS = 60.0, 8.0


@dataclass(frozen=True)
class SuperLink:
    """A `flower-superlink` that is running.

    Parameters
    ----------
    folder : Path
        Its logs, and the settings of `flwr`.
    root_certificate : Path or None
        Whoever talks to it over TLS trusts this; None where it speaks plain HTTP.
    pid : int
    """

    folder: Path
    address: str
    root_certificate: Path | None
    pid: int

    def flwr(self, *arguments: str) -> str:
        """What `flwr ARGUMENTS NAME-OF-THIS-LINK` prints."""
        done = subprocess.run(
            [command("flwr"), *arguments], env=environment(self.folder), capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"flwr {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")
        return done.stdout


@contextmanager
def superlink(folder: Path, *options: str, tls: bool = False) -> Iterator[SuperLink]:
    """An unmodified SuperLink on loopback, in memory, until the context ends."""
    port = free_port()
    certificate = None
    if tls:
        own = own_certificate(folder, "127.0.0.1")
        certificate = own.certificate
        options += ("--ssl-ca-certfile", str(own.certificate), "--ssl-certfile", str(own.certificate),
                    "--ssl-keyfile", str(own.key), "--enable-supernode-auth")  # fmt: skip
    else:
        options += ("--insecure",)
    trust = f'root-certificates = "{certificate}"' if certificate else "insecure = true"
    (folder / "config.toml").write_text(
        f'[superlink]\ndefault = "here"\n\n[superlink.here]\naddress = "127.0.0.1:{port}"\n{trust}\n'
    )
    with running(folder, "flower-superlink", "--host", "127.0.0.1", "--port", str(port), *options) as process:
        _wait_until_up(port, process, folder / "flower-superlink.log")
        yield SuperLink(folder, f"127.0.0.1:{port}", certificate, process.pid)


def _wait_until_up(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"flower-superlink did not start:\n{log.read_text(errors='replace')[-2000:]}")


@contextmanager
def running(folder: Path, name: str, *arguments: str, log: str | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """One of Flower's commands, its output in a file of `folder`; it is stopped at the end."""
    with (folder / f"{log or name}.log").open("wb") as file:
        process = subprocess.Popen(
            [command(name), *arguments], env=environment(folder), stdout=file, stderr=file, stdin=subprocess.DEVNULL
        )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def command(name: str) -> str:
    """The command that was installed beside this interpreter."""
    return str(Path(sys.executable).parent / name)


def environment(folder: Path) -> dict[str, str]:
    """No telemetry, no look for updates, settings of its own; the executors are found where the commands are."""
    return {
        **os.environ,
        "FLWR_HOME": str(folder),
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
    }


def free_port() -> int:
    """A port of loopback that was free just now: Flower's commands do not say which one they took."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
