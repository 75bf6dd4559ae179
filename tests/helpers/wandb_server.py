"""What W&B's clients ask of its server: runs and views are made, and what is logged is kept."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, ClassVar

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
        self.artifacts: list[str] = []
        self.known: list[dict[str, Any]] = []  # runs that are listed, all in us/lgan
        self.views: list[dict[str, Any]] = []  # saved workspaces and reports
        self.saves = 0

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def answer(self, query: dict[str, Any]) -> dict[str, Any]:
        """Return the data of a GraphQL query."""
        (name,) = re.findall(r"^\s*(?:query|mutation) (\w+)", query["query"], re.MULTILINE)
        given = query.get("variables") or {}
        if name in self.LISTINGS:
            return self.LISTINGS[name](self, given)
        if name in ("Viewer", "GetDefaultEntity"):
            return {"viewer": VIEWER}
        if name == "ArtifactType":
            return {"project": {"artifact": None}}
        if name == "CreateArtifact":
            self.artifacts.append(given["input"]["artifactCollectionName"])
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

    def _projects(self, given: dict[str, Any]) -> dict[str, Any]:
        node = {"__typename": "Project", "id": "1", "name": "lgan", "entityName": "us",
                "createdAt": "", "isBenchmark": False, "user": None}  # fmt: skip
        return {"models": _page([node] if given["entity"] == "us" else [])}

    def _runs(self, given: dict[str, Any]) -> dict[str, Any]:
        group = json.loads(given["filters"]).get("group")
        nodes = [run for run in self.known if group in (None, run["group"])]
        return {"project": {"internalId": "1", "runCount": len(nodes), "runs": _page(nodes)}}

    def _views(self, given: dict[str, Any]) -> dict[str, Any]:
        kind, name = given.get("viewType", "runs"), given.get("viewName")
        nodes = [v for v in self.views if v["type"] == kind and name in (None, v["name"])]
        return {"project": {"allViews": _page(nodes)}}

    def _save(self, given: dict[str, Any]) -> dict[str, Any]:
        self.saves += 1
        old = [view for view in self.views if view["id"] == given.get("id")]
        number = old[0]["id"] if old else f"view{len(self.views)}"
        view = {key: given.get(key) for key in ("type", "name", "displayName", "description")}
        view |= {"id": number, "spec": given["spec"], "updatedAt": "2026-01-01T00:00:00",
                 "createdAt": "2026-01-01T00:00:00", "user": {},
                 "project": {"id": "1", "name": "lgan", "entityName": "us"}}  # fmt: skip
        self.views = [v for v in self.views if v["id"] != number] + [view]
        return {"upsertView": {"view": view, "inserted": not old}}

    LISTINGS: ClassVar[dict[str, Callable[..., dict[str, Any]]]] = {
        "GetProjects": _projects, "Runs": _runs, "ProjectViews": _views, "View": _views,
        "UpsertView2": _save, "upsertView": _save,
        "ProjectInternalId": lambda self, given: {"project": {"id": "1", "internalId": "1"}},
    }  # fmt: skip

    def leave(self) -> None:
        """Take no further connection."""
        self.shutdown()
        self.server_close()

    def summary(self) -> dict[str, Any]:
        """Return what stands behind the run's name in tables."""
        files = [stream.get("files", {}).get("wandb-summary.json") for stream in self.streams]
        return json.loads([line for file in files if file for line in file["content"]][-1])

    def config(self) -> dict[str, Any]:
        """Return the last run's config, each entry below `value`."""
        return json.loads([run["config"] for run in self.runs if run.get("config")][-1])

    def axes(self) -> dict[str, str]:
        """Return, of every metric, the one that it is drawn over."""
        metrics = self.config()["_wandb"]["value"]["m"]  # 1: name, 2: pattern, 5: axis, from 1
        names = [each.get("1") or each["2"] for each in metrics]
        return {n: names[m["5"] - 1] for n, m in zip(names, metrics, strict=True) if "5" in m}

    def history(self) -> list[dict[str, Any]]:
        """Return the logged rows, in order."""
        files = [stream.get("files", {}).get("wandb-history.jsonl") for stream in self.streams]
        return [json.loads(line) for file in files if file for line in file["content"]]


def _page(nodes: list[dict[str, Any]]) -> dict[str, Any]:
    edges = [{"node": node, "cursor": str(place)} for place, node in enumerate(nodes)]
    end = {"__typename": "PageInfo", "endCursor": None, "hasNextPage": False}
    return {"edges": edges, "pageInfo": end}


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
