"""As much of W&B's server as its client asks for: runs are made, and what is logged is kept."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

VIEWER = {"id": "1", "entity": "us", "username": "us", "email": "", "flags": "{}",
          "teams": {"edges": []}}  # fmt: skip


class WandbServer(ThreadingHTTPServer):
    """Keeps what was sent to it.

    Args:
        leaves: whether it goes away as soon as it has made a run.
    """

    def __init__(self, leaves: bool) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.leaves = leaves
        self.runs: list[dict[str, Any]] = []
        self.streams: list[dict[str, Any]] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def answer(self, query: dict[str, Any]) -> dict[str, Any]:
        """Return the data of a GraphQL query."""
        (name,) = re.findall(r"^\s*(?:query|mutation) (\w+)", query["query"])
        given = query.get("variables") or {}
        if name == "Viewer":
            return {"viewer": VIEWER}
        if name == "ArtifactType":
            return {"project": {"artifact": None}}
        if name == "CreateArtifact":
            artifact = {"id": "1", "state": "COMMITTED", "artifactSequence": {"id": "1"}}
            return {"createArtifact": {"artifact": artifact}}
        if name == "CreateRunFiles":
            files = [{"name": file, "uploadUrl": f"{self.address}/put"} for file in given["files"]]
            return {"createRunFiles": {"runID": "1", "uploadHeaders": [], "files": files}}
        if name != "UpsertBucket":
            return {}
        self.runs.append(given)
        if self.leaves:
            Thread(target=self.leave).start()
        project = {"id": "1", "name": given["project"], "entity": {"id": "1", "name": "us"}}
        bucket = {"id": "1", "name": given["name"], "displayName": given["displayName"],
                  "config": "{}", "project": project, "historyLineCount": 0}  # fmt: skip
        return {"upsertBucket": {"bucket": bucket, "inserted": True}}

    def leave(self) -> None:
        """Take no further connection."""
        self.shutdown()
        self.server_close()

    def history(self) -> list[dict[str, Any]]:
        """Return the logged rows, in order."""
        files = [stream.get("files", {}).get("wandb-history.jsonl") for stream in self.streams]
        return [json.loads(line) for file in files if file for line in file["content"]]


class Handler(BaseHTTPRequestHandler):
    """One connection per request, so that a server that leaves leaves nothing open."""

    server: WandbServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        if self.headers["Content-Encoding"] == "gzip":
            body = gzip.decompress(body)
        answer: dict[str, Any] = {}
        if self.path == "/graphql":
            answer = {"data": self.server.answer(json.loads(body))}
        elif self.path.endswith("/file_stream"):
            self.server.streams.append(json.loads(body))
        text = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_PUT = do_POST

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def wandb_server(leaves: bool = False) -> Iterator[WandbServer]:
    """Serve while the block runs."""
    server = WandbServer(leaves)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.leave()
        thread.join()
