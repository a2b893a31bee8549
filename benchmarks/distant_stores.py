"""What the way to an object store costs a run: ``python -m benchmarks.distant_stores [PAGES]``.

Starts a MinIO on this machine (see ``tests/object_servers.py``) behind a proxy that lets each of
its answers wait, ingests generated pages from and to the local disk, from it and to it, and prints
the seconds of each, with the ratio to the local run of the same round. The pages are of 336 days,
so that about as many files are written.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.slices import page
from transforms.storage import client_of

sys.path.append(str(Path(__file__).parent.parent / "tests"))

from object_servers import BUCKET, ObjectServer, in_environment, run_minio

PAGES = 400
DELAYS_SECONDS = (0.0, 0.03, 0.1)
PLACES = {"local → local": (False, False), "S3 → local": (True, False), "local → S3": (False, True)}
_CHUNK_BYTES = 65_536


async def _forward(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay_seconds: float
) -> None:
    """Pass on what comes, each piece so much later; pieces do not wait for each other."""
    pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def send() -> None:
        while True:
            due, piece = await pieces.get()
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            if not piece:
                writer.close()
                return
            writer.write(piece)

    sending = asyncio.create_task(send())
    piece = b"-"
    while piece:
        try:
            piece = await reader.read(_CHUNK_BYTES)
        except ConnectionError:
            piece = b""
        await pieces.put((time.monotonic() + delay_seconds, piece))
    await sending


async def _serve(port: int, delay_seconds: float, ports: list[int], ready: threading.Event) -> None:
    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, requests = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(
            _forward(reader, requests, 0.0), _forward(answers, writer, delay_seconds)
        )

    server = await asyncio.start_server(connect, "127.0.0.1", 0)
    ports.append(server.sockets[0].getsockname()[1])
    ready.set()
    await server.serve_forever()


def delayed(endpoint: str, delay_seconds: float) -> str:
    """An endpoint whose answers come that much later than those of ``endpoint``."""
    ports: list[int] = []
    ready = threading.Event()
    port = int(endpoint.rpartition(":")[2])
    serve = _serve(port, delay_seconds, ports, ready)
    threading.Thread(target=asyncio.run, args=[serve], daemon=True).start()
    ready.wait()
    return f"http://127.0.0.1:{ports[0]}"


def ingest(source: str, output: str, endpoint: str) -> float:
    """Seconds that a run takes from the outside."""
    command = [sys.executable, "-m", "pipelines", "ingest", source, "--output", output, "--json"]
    environment = {**os.environ, "AWS_ENDPOINT_URL": endpoint}
    began = time.monotonic()
    done = subprocess.run(command, check=True, capture_output=True, env=environment)
    seconds = time.monotonic() - began
    assert json.loads(done.stdout)["balanced"]
    return seconds


@contextmanager
def server_with(pages: int, folder: Path) -> Iterator[ObjectServer]:
    """The server, with the pages in its bucket and in ``folder``."""
    source = folder / "in"
    source.mkdir()
    for number in range(pages):
        # Nineteen between two, so that they are of as many days as there are.
        (source / f"{number:04d}.html").write_bytes(page(number * 20))
    with run_minio(folder) as server, in_environment(server):
        client = client_of("s3")
        client.mkdir(BUCKET)
        client.put(f"{source}/", f"{BUCKET}/in/", recursive=True)
        yield server


def main() -> None:
    """Print the table."""
    pages = int(sys.argv[1]) if len(sys.argv) > 1 else PAGES
    print(f"{pages} pages, seconds (and ratio to local)")
    print(f"{'':10}" + "".join(f"{name:>20}" for name in PLACES), flush=True)
    with (
        tempfile.TemporaryDirectory(prefix="newsbeam-stores-") as name,
        server_with(pages, Path(name)) as server,
    ):
        for delay_seconds in DELAYS_SECONDS:
            endpoint = delayed(server.endpoint, delay_seconds)
            print(f"{1000 * delay_seconds:7.0f} ms", end="", flush=True)
            local = 0.0
            for is_remote_source, is_remote_output in PLACES.values():
                source = f"s3://{BUCKET}/in" if is_remote_source else f"{name}/in"
                output = server.new_url() if is_remote_output else tempfile.mkdtemp(dir=name)
                seconds = ingest(source, output, endpoint)
                local = local or seconds
                print(f"{seconds:12.1f} ({seconds / local:.2f})", end="", flush=True)
            print(flush=True)


if __name__ == "__main__":
    main()
