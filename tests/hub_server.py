"""A Hub on the loopback that serves one repository from a folder, for tests without a network."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@contextmanager
def serving(folder: Path, repo_id: str, token: str | None = None, kind: str = "datasets") -> Iterator[str]:
    """Serve the files of `folder` as a repository of the `kind` datasets or models; yields the address. With `token`,
    401 for who does not give it."""
    api, files_at = f"/api/{kind}/{repo_id}", f"/{repo_id}" if kind == "models" else f"/{kind}/{repo_id}"

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = self.path.split("?")[0]
            if token and self.headers.get("Authorization") != f"Bearer {token}":
                return self._answer(401, {}, **{"X-Error-Code": "RepoNotFound"})
            if path == api or path.startswith(f"{api}/revision/"):
                siblings = [{"rfilename": name} for name in files()]
                return self._answer(200, {"id": repo_id, "sha": COMMIT, "siblings": siblings})
            if path.startswith(f"{api}/tree/{COMMIT}"):
                inside = path.removeprefix(f"{api}/tree/{COMMIT}").strip("/")
                return self._answer(200, tree(inside, recursive="recursive=true" in self.path.lower()))
            prefix = f"{files_at}/resolve/"
            if path.startswith(prefix):
                name = path.removeprefix(prefix).partition("/")[2]
                if name in files():
                    return self._answer(200, files()[name].read_bytes())
                return self._answer(404, {}, **{"X-Error-Code": "EntryNotFound"})
            return self._answer(404, {}, **{"X-Error-Code": "RepoNotFound"})

        do_HEAD = do_GET

        def _answer(self, status: int, body: object, **headers: str) -> None:
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("ETag", f'"{hashlib.sha1(content).hexdigest()}"')
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
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

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
