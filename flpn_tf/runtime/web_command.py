"""`flpn web`: a folder's files over HTTP, with the headers that let a page use WebAssembly threads."""

import errno
import http.server
import ipaddress
import sys
from functools import partial
from pathlib import Path

import flpn_tf
from flpn_tf.errors import InputError, printable

DEFAULT_FOLDER = Path(flpn_tf.__file__).resolve().parents[1] / "web_demo" / "dist"
INDEX = "index.html"

_HEADERS = {
    # Both make the page cross-origin isolated, which SharedArrayBuffer, and so threads, asks for.
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    # A model or page that was built anew is never the old one.
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
}
# Said here because the system's own table, which Python asks first, may lack or contradict them.
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".mjs": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".tflite": "application/octet-stream",
    ".wasm": "application/wasm",
}


class _Handler(http.server.SimpleHTTPRequestHandler):
    extensions_map = http.server.SimpleHTTPRequestHandler.extensions_map | _TYPES

    def send_head(self):
        if self._is_inside():
            return super().send_head()
        self.send_error(http.HTTPStatus.NOT_FOUND, "File not found")
        return None

    def _is_inside(self) -> bool:
        """False where a link leads out of the folder, or the path can be no file's."""
        try:
            path = Path(self.translate_path(self.path))
            # Of a folder its index is served.
            found = [entry.resolve() for entry in (path, path / "index.html", path / "index.htm")]
        except ValueError:  # a NUL character
            return False
        return all(entry.is_relative_to(Path(self.directory).resolve()) for entry in found)

    def list_directory(self, path):
        self.send_error(http.HTTPStatus.NOT_FOUND, "File not found")

    def end_headers(self):
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def log_request(self, code="-", size="-"):
        pass

    def log_message(self, format, *args):
        request = getattr(self, "path", "a request")  # absent where it could not even be read
        print(printable(f"flpn: {request}: {format % args}"), file=sys.stderr)


class _Server(http.server.ThreadingHTTPServer):
    def __init__(self, host: str, port: int, folder: Path):
        if _is_ipv6(host):
            self.address_family = http.server.socket.AF_INET6
        super().__init__((host, port), partial(_Handler, directory=str(folder)))

    def handle_error(self, request, client_address):
        error = sys.exception()
        if not isinstance(error, ConnectionError):  # a browser that leaves in the middle is no news
            print(printable(f"flpn: {client_address[0]}: {error}"), file=sys.stderr)


def run(folder: Path | None, port: int, host: str) -> None:
    """Serves a folder until Ctrl-C; prints its address first.

    Args:
        folder: with an `index.html`; None is `web_demo/dist` of the repository this package is in.
        port: 0 takes a free one.
        host: the address to listen at; ``0.0.0.0`` is all of this machine's.

    Raises:
        InputError: the folder is missing or not built, the port is taken or the host is none of this machine.
    """
    with open_server(check_folder(folder), port, host) as server:
        print(f"The page is at {address(server, host)} (Ctrl-C ends it)", flush=True)
        if not _is_loopback(host):
            print(
                "flpn: other devices may open it too, with a photo and one thread: browsers give the camera "
                "and threads only to localhost and https",
                file=sys.stderr,
            )
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()  # after the terminal's ^C


def check_folder(folder: Path | None) -> Path:
    """The folder to serve.

    Raises:
        InputError: it is missing, or holds no `index.html`.
    """
    path = DEFAULT_FOLDER if folder is None else Path(folder)
    if (path / INDEX).is_file():
        return path
    if folder is None and not path.parent.is_dir():
        raise InputError(
            "The web page is not part of an installed flpn_tf: clone the repository, run `make web` in it, "
            "or name a folder that was built"
        )
    problem = f"holds no {INDEX}" if path.is_dir() else "is no folder"
    raise InputError(f"{path} {problem}: build the page with `make web`, or name a folder that was built")


def open_server(folder: Path, port: int, host: str) -> http.server.ThreadingHTTPServer:
    """A server that listens but does not answer yet.

    Raises:
        InputError: the port is taken or out of range, the host is none of this machine.
    """
    if not 0 <= port <= 65535:
        raise InputError(f"A port is a number from 0 to 65535. Received: {port}")
    try:
        return _Server(host, port, folder)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise InputError(f"Port {port} of {host} is taken: choose another with --port") from error
        if error.errno == errno.EACCES:
            raise InputError(f"Port {port} needs rights that you do not have: take one above 1023") from error
        reason = error.strerror or error
        raise InputError(
            f"Cannot listen at {host}, port {port}: {reason}. Received: --host {host}"
        ) from error


def address(server: http.server.ThreadingHTTPServer, host: str) -> str:
    """The URL to open on this machine."""
    if host in ("", "0.0.0.0", "::"):
        host = "localhost"
    return f"http://{f'[{host}]' if _is_ipv6(host) else host}:{server.server_address[1]}/"


def _is_ipv6(host: str) -> bool:
    return ":" in host


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
