"""Who gets what: tokens, names, origins, headers, files."""

from __future__ import annotations

import logging
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from rededge_nb import settings
from rededge_nb.errors import ConfigurationError
from rededge_nb.web import WebServer, pages
from tests.web.site import TOKEN, Camera, ask, watching

pytest_plugins = ("tests.bare_fixtures",)

PATHS = ["/", "/live", "/video", "/snapshot.jpg", "/api/cameras", "/api/detections", "/metrics", "/nothing", "/../etc"]
PATHS += [f"/{name}" for name in pages.files()]
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


@pytest.fixture(params=["127.0.0.1", "0.0.0.0"])
def guarded(
    request: pytest.FixtureRequest, redis_url: str, bare_client: redis.Redis, tmp_path: Path
) -> Iterator[WebServer]:
    """A server with a token of its own, for this computer or for the network."""
    with WebServer(redis_url, host=request.param, port=0, directory=tmp_path / "state") as server:
        yield server


@pytest.mark.parametrize("path", PATHS)
def test_nothing_is_answered_without_the_token(guarded: WebServer, path: str) -> None:
    for method in METHODS:
        for headers in ({}, {"Authorization": "Bearer wrong-token-of-the-tests"}, {"Authorization": "Basic Og=="}):
            answer = ask(guarded.port, path, method, token=None, **headers)
            assert answer.status == 401, (method, headers)
            assert answer.headers["WWW-Authenticate"] == "Bearer"
    wrong = f"rededge_web_{guarded.port}=wrong"
    for host in ("localhost", "127.0.0.1%25x", "rebound.example.org"):
        assert ask(guarded.port, f"{path}?token=wrong", token=None, Cookie=wrong, Host=host).status == 401


def test_only_health_needs_no_token(guarded: WebServer) -> None:
    answer = ask(guarded.port, "/healthz", token=None)
    assert (answer.status, answer.json["redis"]) == (200, True)


def test_the_token_may_be_in_the_header_the_address_or_a_cookie(guarded: WebServer, camera: Camera) -> None:
    token = guarded.ready.token
    camera.detected()
    assert ask(guarded.port, "/api/cameras", token=token).status == 200
    assert ask(guarded.port, f"/api/cameras?token={token}", token=None).status == 200
    led = ask(guarded.port, f"/?camera=0&token={token}", token=None)
    assert (led.status, led.headers["Location"], led.body) == (303, "./?camera=0", b"")
    cookie = led.headers["Set-Cookie"]
    assert {"HttpOnly", "Path=/", "SameSite=Strict"} <= {part.strip() for part in cookie.split(";")[1:]}
    assert "Secure" not in cookie
    assert ask(guarded.port, "/", token=None, Cookie=cookie.split(";")[0]).status == 200
    with watching(guarded.port, token=token) as stream:
        assert stream.jpeg()
    behind_tls = ask(guarded.port, f"/?token={token}", token=None, X_Forwarded_Proto="https")
    assert "Secure" in behind_tls.headers["Set-Cookie"]
    assert behind_tls.headers["Location"] == "./"


def test_the_token_is_created_once_and_kept_private(redis_url: str, tmp_path: Path) -> None:
    tokens = []
    for new in (True, False):
        with WebServer(redis_url, port=0, directory=tmp_path) as server:
            ready = server.ready
            assert ready.token_is_new is new
            assert ready.link == f"{ready.url}?token={ready.token}"
            tokens.append(ready.token)
    assert tokens[0] == tokens[1]
    assert len(tokens[0]) >= 32
    [file] = [each for each in tmp_path.iterdir() if each.is_file()]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text().strip() == tokens[0]


def test_a_token_may_be_given(redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with WebServer(redis_url, port=0, token=TOKEN, directory=tmp_path) as server:
        assert ask(server.port, "/", token=None).status == 401
        assert ask(server.port, "/").status == 200
    monkeypatch.setenv(settings.WEB_TOKEN, TOKEN)
    with WebServer(redis_url, port=0, directory=tmp_path) as server:
        assert server.ready.token == TOKEN
        assert not server.ready.token_is_new
        # whatever host name a proxy sends
        assert ask(server.port, "/", Host="video.example.org").status == 200
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("token", ["short", "sixteen letters and blanks", "sixteen-letters\r\n", "sechzehn-zeichen-ö"])
def test_a_short_token_is_refused(redis_url: str, token: str) -> None:
    with pytest.raises(ConfigurationError, match="is not usable: it needs at least 16 letters"):
        WebServer(redis_url, port=0, token=token)


def test_wrong_addresses_are_refused(redis_url: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"port {port} "):
            WebServer(redis_url, port=port)
    with pytest.raises(ConfigurationError, match="cannot listen at no-such-host"):
        WebServer(redis_url, host="no-such-host.invalid", port=0)
    with pytest.raises(ConfigurationError, match="'gopher://x' is not a Redis address"):
        WebServer("gopher://x", port=0)


def test_headers_tell_browsers_to_keep_other_sites_out(port: int) -> None:
    for path in ("/", "/page.js", "/api/cameras", "/healthz", "/metrics", "/snapshot.jpg", "/nothing"):
        headers = ask(port, path, Origin="https://example.org").headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'self'" in policy
        assert "unsafe" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cache-Control"] == "no-store"
        assert headers["Cross-Origin-Resource-Policy"] == "same-site"
        assert headers["Server"] is None
        assert not [name for name in headers if name.lower().startswith("access-control")]


def test_an_image_may_be_shown_anywhere_if_its_address_has_the_token(port: int) -> None:
    for path in ("/snapshot.jpg", "/video"):
        headers = ask(port, f"{path}?token={TOKEN}", "HEAD", token=None).headers
        assert headers["Cross-Origin-Resource-Policy"] == "cross-origin"


def test_the_page_has_only_relative_links_and_nothing_inline(port: int) -> None:
    page = ask(port, "/").body.decode()
    assert 'href="/' not in page
    assert 'src="/' not in page
    assert "//" not in page.replace("<!--", "")
    assert "style=" not in page
    assert "<script>" not in page
    for name, served in pages.files().items():
        answer = ask(port, f"/{name}")
        assert (answer.status, answer.headers["Content-Type"]) == (200, served.kind)
        if name.endswith(".js"):
            assert b"http:" not in answer.body.replace(b"http://www.w3.org/2000/svg", b"")
            assert b"https:" not in answer.body.replace(b'"https:" ?', b"")


@pytest.mark.parametrize(
    "path", ["/page/", "/widgets/player.js", "/..%2fserver.py", "/page.js/", "/static/x", "//page.js"]
)
def test_nothing_else_is_served(port: int, path: str) -> None:
    answer = ask(port, path)
    assert (answer.status, answer.json) == (404, {"error": "there is nothing at this path: see /"})


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_nothing_is_changed_here(port: int, method: str) -> None:
    for path in ("/", "/video", "/api/cameras", "/healthz"):
        answer = ask(port, path, method)
        assert (answer.status, answer.json) == (405, {"error": "Method Not Allowed"})


def test_the_token_is_in_no_log(redis_url: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with WebServer(redis_url, port=0, token=TOKEN) as server:
        for path in ("/", "/api/cameras", "/video?camera=a%20b", "/nothing", "/live"):
            ask(server.port, f"{path}{'&' if '?' in path else '?'}token={TOKEN}", token=None)
        ask(server.port, "/")
    assert any("/api/cameras" in record.getMessage() for record in caplog.records)
    assert not [record for record in caplog.records if TOKEN in record.getMessage() or TOKEN in str(record.exc_text)]
