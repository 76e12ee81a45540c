"""`flpn web`: what it answers, and what it says where it cannot serve."""

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.request

import helpers
import pytest

from flpn_tf.errors import InputError
from flpn_tf.runtime import web_command

FILES = {
    "index.html": "text/html; charset=utf-8",
    "main.js": "text/javascript; charset=utf-8",
    "style.css": "text/css; charset=utf-8",
    "icon.svg": "image/svg+xml",
    "litert/runtime.wasm": "application/wasm",
    "models/some.tflite": "application/octet-stream",
    "models/models.json": "application/json",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A built page, and a secret beside it that a link in it points to."""
    parent = tmp_path_factory.mktemp("web")
    (parent / "secret.txt").write_text("secret")
    for name in FILES:
        path = parent / "page" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"content of {name}")
    (parent / "page" / "link.txt").symlink_to(parent / "secret.txt")
    (parent / "page" / "inner.txt").symlink_to(parent / "page" / "main.js")
    return parent / "page"


@pytest.fixture(scope="module")
def server(folder):
    with web_command.open_server(web_command.check_folder(folder), 0, "127.0.0.1") as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def ask(server, path, method="GET"):
    """Sends the path as it is; clients tidy it up."""
    connection = http.client.HTTPConnection(*server.server_address, timeout=20)
    connection.putrequest(method, path, skip_host=False)
    connection.endheaders()
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer, content


@pytest.mark.parametrize("name, kind", FILES.items(), ids=list(FILES))
def test_files_with_their_type(server, name, kind):
    answer, content = ask(server, f"/{name}?v=1")
    assert (answer.status, content.decode()) == (200, f"content of {name}")
    assert answer.headers["Content-Type"] == kind


@pytest.mark.parametrize("path", ["/", "/main.js", "/nothing"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_headers_that_isolate_the_page(server, path, method):
    answer, _ = ask(server, path, method)
    assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert answer.headers["Cross-Origin-Embedder-Policy"] == "require-corp"
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "path",
    [
        "/nothing.js",
        "/../secret.txt",
        "/models/../../secret.txt",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/..\\secret.txt",
        "//../secret.txt",
        "/link.txt",
        "/models/",
        "/litert/",
        "/%00",
    ],
)
def test_nothing_but_the_folders_files(server, path):
    answer, content = ask(server, path)
    assert answer.status in (400, 404)
    assert b"secret" not in content.replace(path.encode(), b"")
    assert b"some.tflite" not in content


def test_links_within_the_folder_work(server):
    assert ask(server, "/inner.txt")[1] == b"content of main.js"


def test_an_index_that_leads_out_is_not_served(server, folder):
    (folder / "out").mkdir()
    (folder / "out" / "index.html").symlink_to(folder.parent / "secret.txt")
    for path in ("/out/", "/out/index.html"):
        response, content = ask(server, path)
        assert response.status == 404
        assert b"secret" not in content


def test_a_changed_file_is_served_at_once(server, folder):
    path = folder / "models" / "changed.json"
    for text in ("first", "other"):
        path.write_text(text)
        os.utime(path, (1e9, 1e9))  # a copy may keep an old time
        assert ask(server, "/models/changed.json")[1].decode() == text


def test_other_methods_are_refused(server):
    assert [ask(server, "/main.js", method)[0].status for method in ("POST", "PUT", "DELETE")] == [501] * 3


def test_a_visitor_who_leaves_is_no_news(server, capfd):
    for _ in range(3):
        with socket.create_connection(server.server_address) as visitor:
            visitor.sendall(b"GET /main.js HTTP/1.0\r\n\r\n")
            visitor.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # reset
    assert ask(server, "/main.js")[0].status == 200
    assert "Traceback" not in capfd.readouterr().err


def test_what_is_asked_in_vain_is_told_without_control_characters(server, capfd):
    with socket.create_connection(server.server_address, timeout=20) as visitor:
        visitor.sendall(b"GET /\x1b[31mred HTTP/1.0\r\n\r\n")
        assert visitor.recv(1000).startswith(b"HTTP/1.0 404")
    said = capfd.readouterr().err
    assert "red" in said
    assert "\x1b" not in said


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0", "::1"])
def test_addresses(folder, host):
    try:
        opened = web_command.open_server(folder, 0, host)
    except InputError:
        if host != "::1":
            raise
        pytest.skip("this machine has no IPv6")
    with opened as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        url = web_command.address(server, host)
        assert re.fullmatch(r"http://(127\.0\.0\.1|localhost|\[::1\]):\d+/", url)
        assert (
            urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=20).status == 200
        )
        thread.join()


def refused(monkeypatch, capsys, *arguments):
    code = helpers.exit_code(monkeypatch, "web", *arguments)
    assert code == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("flpn: error: ")
    assert said.err.count("\n") == 1
    return said.err


def test_says_what_is_wrong_with_the_folder(monkeypatch, capsys, tmp_path):
    assert "is no folder: build the page with `make web`" in refused(monkeypatch, capsys, tmp_path / "none")
    assert "holds no index.html: build the page with `make web`" in refused(monkeypatch, capsys, tmp_path)
    monkeypatch.setattr(web_command, "DEFAULT_FOLDER", tmp_path / "dist")
    assert "dist is no folder: build the page with `make web`" in refused(monkeypatch, capsys)
    monkeypatch.setattr(web_command, "DEFAULT_FOLDER", tmp_path / "site-packages" / "web_demo" / "dist")
    assert "clone the repository" in refused(monkeypatch, capsys)


def test_says_what_is_wrong_with_the_address(monkeypatch, capsys, folder, server):
    port = server.server_address[1]
    assert f"Port {port} of 127.0.0.1 is taken" in refused(monkeypatch, capsys, folder, "--port", port)
    for wrong in ("-1", "65536"):
        assert f"Received: {wrong}" in refused(monkeypatch, capsys, folder, "--port", wrong)
    said = refused(monkeypatch, capsys, folder, "--host", "no.such.host.invalid", "--port", 0)
    assert "Cannot listen at no.such.host.invalid" in said
    assert "Cannot listen at 192.0.2.1" in refused(monkeypatch, capsys, folder, "--host", "192.0.2.1")


def test_runs_until_ctrl_c(folder):
    process = subprocess.Popen(
        [sys.executable, "-m", "flpn_tf", "web", folder, "--port", "0"],
        cwd=helpers.REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        url = re.search(r"http://127\.0\.0\.1:\d+/", process.stdout.readline())[0]
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        assert opener.open(f"{url}main.js", timeout=20).read() == b"content of main.js"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert (process.returncode, out.strip(), err) == (0, "", "")
