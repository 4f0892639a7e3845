"""A Hub on the loopback that serves one repository from a folder, and takes uploads into it, for tests without a
network."""

import base64
import hashlib
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@contextmanager
def serving(
    folder: Path, repo_id: str, token: str | None = None, kind: str = "datasets", created: dict | None = None,
    faults: list[int | str | None] | None = None, role: str = "write", reads: list[str] | None = None,
    storage: list[int | str | None] | None = None,
) -> Iterator[str]:  # fmt: skip
    """Serve the files of `folder` as a repository of the `kind` datasets or models; yields the address. With `token`,
    401 for who does not give it. `created`: what the repository was created with; {} where it is not there yet.
    `faults`: what the next requests that write get instead of an answer: a status, 0 for a reset connection, "slow"
    (silence until the client has gone), or None for their answer. `storage`: the same for large files' content alone.
    `role`: of the token, as the Hub names it; with "read", 403 for whatever writes. `reads`: what the next requests for
    a file's content get: "slow" (silence until the client has gone), "truncated" (half of it), "reset", or a status."""
    created = {"visibility": "public"} if created is None else created
    gone = threading.Event()  # the test is over: whoever is kept waiting may go
    blobs: dict[str, bytes] = {}  # large files, by their sha256, before a commit names them
    api, files_at = f"/api/{kind}/{repo_id}", f"/{repo_id}" if kind == "models" else f"/{kind}/{repo_id}"

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = self.path.split("?")[0]
            if token and self.headers.get("Authorization") != f"Bearer {token}":
                return self._answer(401, {}, **{"X-Error-Code": "RepoNotFound"})
            if path == "/api/whoami-v2":
                return self._answer(200, {"name": "me", "auth": {"accessToken": {"role": role}}})
            if path == api and not created:
                return self._answer(404, {}, **{"X-Error-Code": "RepoNotFound"})
            if path == api or path.startswith(f"{api}/revision/"):
                siblings = [{"rfilename": name} for name in files()]
                private = created.get("visibility") == "private"
                return self._answer(200, {"id": repo_id, "sha": COMMIT, "siblings": siblings, "private": private})
            if path.startswith(f"{api}/tree/"):
                inside = path.removeprefix(f"{api}/tree/").partition("/")[2]
                return self._answer(200, tree(inside, recursive="recursive=true" in self.path.lower()))
            prefix = f"{files_at}/resolve/"
            if path.startswith(prefix):
                name = path.removeprefix(prefix).partition("/")[2]
                if name in files():
                    content = files()[name].read_bytes()
                    if reads and self.command == "GET":
                        return self._fail_to_read(reads.pop(0), content)
                    return self._answer(200, content)
                return self._answer(404, {}, **{"X-Error-Code": "EntryNotFound"})
            return self._answer(404, {}, **{"X-Error-Code": "RepoNotFound"})

        do_HEAD = do_GET

        def do_POST(self) -> None:
            path, content = self.path.split("?")[0], self.rfile.read(int(self.headers["Content-Length"]))
            if token and self.headers.get("Authorization") != f"Bearer {token}":
                return self._answer(401, {})
            if faults and (fault := faults.pop(0)) is not None:
                return self._fail(fault)
            if role == "read" and path != "/api/validate-yaml":
                return self._answer(403, {"error": "You don't have the rights to write"})
            if path == "/api/validate-yaml":
                return self._answer(200, {"errors": [], "warnings": []})
            if path == "/api/repos/create":
                known = bool(created)
                created.update({} if known else json.loads(content))
                return self._answer(409 if known else 200, {"url": f"{self._address()}{files_at}"})
            if path == f"{api}/preupload/main":
                asked = json.loads(content)["files"]
                return self._answer(200, {"files": [upload_mode(row["path"]) for row in asked]})
            if path == f"{files_at}.git/info/lfs/objects/batch":
                objects = [
                    row | {"actions": {"upload": {"href": f"{self._address()}/blobs/{row['oid']}"}}}
                    for row in json.loads(content)["objects"]
                ]
                return self._answer(200, {"objects": objects})
            if path == f"{api}/commit/main":
                for line in content.splitlines():
                    commit(**json.loads(line))
                return self._answer(
                    200, {"commitUrl": f"{self._address()}{files_at}/commit/{COMMIT}", "commitOid": COMMIT}
                )
            return self._answer(404, {}, **{"X-Error-Code": "RepoNotFound"})

        def do_PUT(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            for planned in filter(None, (storage, faults)):
                if (fault := planned.pop(0)) is not None:
                    return self._fail(fault)
            blobs[self.path.rpartition("/")[2]] = content
            self._answer(200, {})

        def _fail(self, status: int | str) -> None:
            if status == "slow":
                gone.wait(30)
            elif status:
                return self._answer(status, {}, **{"Retry-After": "0"})
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

        def _fail_to_read(self, kind: str, content: bytes) -> None:
            if kind == "slow":
                gone.wait(30)
            elif kind == "truncated":
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content[: len(content) // 2])
                self.wfile.flush()
            elif kind != "reset":
                return self._answer(int(kind), {})
            self._fail(0)

        def _address(self) -> str:
            return f"http://127.0.0.1:{self.server.server_port}"

        def _answer(self, status: int, body: object, **headers: str) -> None:
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("ETag", f'"{hashlib.sha1(content).hexdigest()}"')
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def log_message(self, *arguments: object) -> None:
            """Silence."""

    def files() -> dict[str, Path]:
        return {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}

    def tree(inside: str, recursive: bool) -> list[dict[str, object]]:
        rows = []
        for path in sorted((folder / inside).rglob("*") if recursive else (folder / inside).glob("*")):
            row = {"path": path.relative_to(folder).as_posix(), "oid": COMMIT, "size": 0, "type": "directory"}
            if path.is_file():
                row |= {"type": "file", "size": path.stat().st_size}
            rows.append(row)
        return rows

    def upload_mode(name: str) -> dict[str, object]:
        large = name.endswith((".safetensors", ".png"))
        return {"path": name, "uploadMode": "lfs" if large else "regular", "shouldIgnore": False}

    def commit(key: str, value: dict) -> None:
        path = folder / value.get("path", "")
        if key == "deletedFile":
            path.unlink()
        elif key != "header":
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(blobs[value["oid"]] if key == "lfsFile" else base64.b64decode(value["content"]))

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        gone.set()
        server.shutdown()
        server.server_close()
