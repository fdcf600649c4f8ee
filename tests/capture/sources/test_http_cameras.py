"""Cameras over HTTP: whatever way they sign in, redirect and send, and the real cause of every refusal."""

from __future__ import annotations

import gzip
import itertools
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from rededge_nb.capture.sources import Source, http_client, open_source
from rededge_nb.capture.sources.certificates import fingerprint
from rededge_nb.capture.sources.http_authentication import best_offer, parse_offers
from rededge_nb.errors import ConfigurationError, SourceError
from tests.http_camera import CERTIFICATES, HttpCamera, Request, Respond, http_camera, part
from tests.video_files import brightness, gray_levels, write_video
from tests.waiting import wait_for

LEVELS = (40, 90, 140, 190)
JPEGS = [bytes(cv2.imencode(".jpg", np.full((48, 64, 3), level, np.uint8))[1].tobytes()) for level in LEVELS]
RIGHT, WRONG = "viewer:s%40cr%2Fet", "viewer:wrong"


def endless(*, length: int = 0) -> Iterator[bytes]:
    return (part(jpeg, length=length) for jpeg in itertools.cycle(JPEGS))


def stream(request: Request) -> None:
    request.stream(endless())


def numbers(source: Source, count: int) -> list[int]:
    return [JPEGS.index(source.read().image) for _ in range(count)]


def read_all(camera: HttpCamera, path: str, count: int = 4, *, user: str | None = None, **options: object) -> None:
    """Reads images, which have to be those of the camera, in their order; all, unless this machine is too slow."""
    with open_source(camera.url(path, user=user), **options) as source:  # type: ignore[arg-type]
        found = numbers(source, count)
        missed = source.missed
    assert missed or [(each - found[0]) % len(JPEGS) for each in found] == [each % len(JPEGS) for each in range(count)]


def is_refused(
    camera: HttpCamera, path: str, *, match: str, user: str | None = None, certificate: str | None = None
) -> None:
    with pytest.raises((ConfigurationError, SourceError), match=match):
        open_source(camera.url(path, user=user), certificate=certificate)


def digest(algorithm: str = "", qop: str = "auth") -> str:
    return (
        'Digest realm="camera", nonce="n1"'
        + (f", algorithm={algorithm}" if algorithm else "")
        + (f', qop="{qop}"' if qop else "")
    )


OFFERS = {
    "basic": (['Basic realm="camera"'], {"basic": True}),
    "digest": ([digest()], {"algorithm": "MD5"}),
    "without qop": ([digest(qop="")], {"algorithm": "MD5"}),
    "two qops": ([digest(qop="auth-int, auth")], {"algorithm": "MD5"}),
    "sha-256": ([digest("SHA-256")], {"algorithm": "SHA-256"}),
    "md5-sess": ([digest("MD5-sess")], {"algorithm": "MD5-SESS"}),
    "the better one second": ([digest("MD5"), digest("SHA-256")], {"algorithm": "SHA-256"}),
    "the better one first": ([digest("SHA-256"), digest("MD5")], {"algorithm": "SHA-256"}),
    "one that is not known": ([digest("SHA-512-256"), digest("MD5")], {"algorithm": "MD5"}),
    "negotiate": (["Negotiate", "NTLM", 'Basic realm="camera"'], {"basic": True}),
    "basic and digest": (['Basic realm="camera"', digest()], {"algorithm": "MD5"}),
    "all in one header": ([f'Basic realm="camera", {digest("MD5")}, {digest("SHA-256")}'], {"algorithm": "SHA-256"}),
    "commas and quotes": ([r'Basic realm="a, Digest b=\"c\", d"'], {"basic": True}),
}


@pytest.mark.parametrize("name", OFFERS)
def test_every_way_to_sign_in(name: str) -> None:
    offers, answer = OFFERS[name]

    def protected(request: Request) -> None:
        if request.signed_in(*offers, **answer):
            stream(request)

    with http_camera({"/video": protected}) as camera:
        read_all(camera, "/video?profile=1", user=RIGHT)
        assert len(camera.requests) == 2
        for user, message in (
            (WRONG, r"answers 401 and refuses user and password"),
            (None, "asks for user and password"),
        ):
            with pytest.raises(SourceError, match=message) as raised:
                open_source(camera.url("/video", user=user))
            assert "wrong" not in str(raised.getrepr(style="native"))


def test_an_outdated_nonce_is_answered_anew() -> None:
    def protected(request: Request) -> None:
        outdated = len(camera.requests) == 2
        if not outdated and request.signed_in(digest("MD5") + ", stale=true", algorithm="MD5"):
            stream(request)
        elif outdated:
            request.signed_in(digest("MD5") + ", stale=true")

    with http_camera({"/video": protected}) as camera:
        read_all(camera, "/video", user=RIGHT)
        assert len(camera.requests) == 3


def test_what_cannot_be_answered_is_named() -> None:
    with http_camera({"/video": lambda request: request.signed_in("Negotiate", digest("SHA-512-256"))}) as camera:
        is_refused(camera, "/video", user=RIGHT, match="offers Digest and Negotiate to sign in, which")


def test_offers_are_taken_apart() -> None:
    header = 'Digest realm="a, b=c", nonce=x , algorithm = SHA-256,, Basic realm="d\\"e", Negotiate'
    offers = parse_offers([header, "", "NTLM"])
    assert [offer.scheme for offer in offers] == ["digest", "basic", "negotiate", "ntlm"]
    assert offers[0].parameters == {"realm": "a, b=c", "nonce": "x", "algorithm": "SHA-256"}
    assert offers[1].parameters == {"realm": 'd"e'}
    assert best_offer([header]) == offers[0]
    assert best_offer(["Digest nonce=x", "nonsense === ,,,"]) is None


def redirect(location: str, code: int = 302) -> Respond:
    return lambda request: request.head(code, ("Location", location), ("Content-Length", "0"))


def test_redirects_on_the_same_host_keep_the_credentials() -> None:
    def protected(request: Request) -> None:
        if request.signed_in(digest("MD5"), algorithm="MD5"):
            stream(request)

    def protected_redirect(request: Request) -> None:
        if request.signed_in('Basic realm="camera"', basic=True):
            redirect("deeper/video")(request)

    routes: dict[str, Respond] = {"/a": redirect("/b", 308), "/b": protected_redirect, "/deeper/video": protected}
    with http_camera(routes) as camera:
        read_all(camera, "/a", user=RIGHT)


def test_redirects_to_another_host_go_without_credentials() -> None:
    with http_camera({"/video": stream}) as other:
        with http_camera({"/video": redirect(other.url("/video"))}) as camera:
            read_all(camera, "/video", user=RIGHT)
        assert "Authorization" not in other.requests[0][1]

        def protected(request: Request) -> None:
            request.signed_in('Basic realm="camera"', basic=True)

        other.routes["/video"] = protected
        with http_camera({"/video": redirect(other.url("/video"))}) as camera:
            is_refused(camera, "/video", user=RIGHT, match=rf":{other.port}/video answers 401 and asks for user")


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("/video", "redirects again and again"),
        ("rtsp://127.0.0.1/stream", "redirects to rtsp://127.0.0.1/stream: take that address"),
        ("ftp://127.0.0.1/", "redirects to an address that cannot be used: addresses that begin with ftp"),
    ],
)
def test_redirects_that_lead_nowhere(location: str, message: str) -> None:
    with http_camera({"/video": redirect(location)}) as camera, pytest.raises(SourceError, match=message):
        open_source(camera.url("/video"))


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (403, "answers 403 Forbidden: the user of the address may not see this"),
        (404, "answers 404 Not Found: see the path of the address"),
        (503, "answers 503 Service Unavailable: the camera may have too many viewers"),
        (500, "answers 500 Internal Server Error: the camera has a problem"),
    ],
)
def test_refusals_are_named(code: int, message: str) -> None:
    with http_camera({"/video": lambda request: request.answer(code, "text/html", b"")}) as camera:
        is_refused(camera, "/video", match=message)


CERTIFICATE = (CERTIFICATES / "camera.pem").read_text()


def shown_fingerprint() -> str:
    import ssl

    return fingerprint(ssl.PEM_cert_to_DER_cert(CERTIFICATE[CERTIFICATE.index("-----BEGIN CERT") :]))


def with_colons(digits: str) -> str:
    return ":".join(digits[at : at + 2] for at in range(0, 64, 2)).upper()


def test_a_self_signed_certificate_is_refused_with_its_fingerprint_and_can_be_trusted() -> None:
    digits = shown_fingerprint()
    with http_camera({"/video": stream}, certificate="camera.pem") as camera:
        with pytest.raises(SourceError) as refused:
            open_source(camera.url("/video", user=RIGHT))
        assert "is not trusted (self-signed certificate)" in str(refused.value)
        assert with_colons(digits) in str(refused.value)
        assert "s%40cr" not in str(refused.getrepr(style="native"))
        assert camera.requests == []
        for certificate in (digits, with_colons(digits), f"sha256:{digits}", str(CERTIFICATES / "camera.pem")):
            read_all(camera, "/video", certificate=certificate)


def test_another_certificate_than_the_trusted_one_gets_no_request() -> None:
    with http_camera({"/video": stream}, certificate="other.pem") as camera:
        shown = "it shows another certificate, with the SHA-256 fingerprint"
        is_refused(camera, "/video", user=RIGHT, certificate=shown_fingerprint(), match=shown)
        is_refused(camera, "/video", user=RIGHT, certificate=str(CERTIFICATES / "camera.pem"), match="is not trusted")
        assert camera.requests == []


def test_an_authority_of_ones_own_can_be_trusted_for_its_hosts() -> None:
    authority = str(CERTIFICATES / "authority.pem")
    with http_camera({"/video": stream}, certificate="signed.pem") as camera:
        read_all(camera, "/video", certificate=authority)
    with http_camera({"/video": stream}, certificate="elsewhere.pem") as camera:
        is_refused(camera, "/video", match="it shows another certificate", certificate=authority)


@pytest.mark.parametrize("certificate", ["abc", "no such file.pem", __file__])
def test_certificates_that_are_none(certificate: str) -> None:
    with http_camera({"/video": stream}, certificate="camera.pem") as camera:
        is_refused(camera, "/video", match=r"certificate is .*take a SHA-256 fingerprint", certificate=certificate)


def test_a_redirect_to_https_keeps_credentials_and_trust() -> None:
    def protected(request: Request) -> None:
        if request.signed_in('Basic realm="camera"', basic=True):
            stream(request)

    with (
        http_camera({"/video": protected}, certificate="camera.pem") as secure,
        http_camera({"/video": redirect(secure.url("/video"))}) as camera,
    ):
        read_all(camera, "/video", user=RIGHT, certificate=shown_fingerprint())


def test_https_where_there_is_none_is_named() -> None:
    with http_camera({"/video": stream}) as camera:
        camera.scheme = "https"
        is_refused(camera, "/video", match=r"but not with TLS that can be used .*begins with https: or http:")
    with http_camera({"/video": stream}, certificate="camera.pem") as camera:
        camera.scheme = "http"
        is_refused(camera, "/video", match=r"hung up|not as HTTP does|does not answer")


def announced(kind: str, *headers: tuple[str, str]) -> Respond:
    def respond(request: Request) -> None:
        request.head(200, ("Content-Type", kind), *headers) if kind else request.head(200)
        for piece in endless():
            request.wfile.write(piece)
            if request.camera.over.wait(0.01):
                return

    return respond


def zipped(request: Request) -> None:
    import zlib

    packer = zlib.compressobj(6, zlib.DEFLATED, 31)
    request.head(200, ("Content-Type", "multipart/x-mixed-replace; boundary=frame"), ("Content-Encoding", "gzip"))
    for piece in endless():
        request.wfile.write(packer.compress(piece) + packer.flush(zlib.Z_SYNC_FLUSH))
        if request.camera.over.wait(0.01):
            return


def in_chunks(request: Request) -> None:
    request.chunked([part(jpeg) for jpeg in JPEGS * 10], "multipart/x-mixed-replace; boundary=frame", complete=False)
    request.camera.over.wait()


WAYS: dict[str, Respond] = {
    "/plain": stream,
    "/wrong-boundary": lambda request: request.stream(endless(), "multipart/x-mixed-replace; boundary=other"),
    "/no-boundary": lambda request: request.stream(endless(), "multipart/x-mixed-replace"),
    "/no-type": announced(""),
    "/octet-stream": announced("application/octet-stream"),
    "/long": lambda request: request.stream(endless(length=2)),
    "/short": lambda request: request.stream(endless(length=-100)),
    "/padded": lambda request: request.stream(part(jpeg + bytes(8192)) for jpeg in itertools.cycle(JPEGS)),
    "/no-parts": lambda request: request.stream(itertools.cycle(JPEGS)),
    "/motion-jpeg": lambda request: request.stream(itertools.cycle(JPEGS), "video/x-motion-jpeg"),
    "/endless-jpeg": lambda request: request.stream(itertools.cycle(JPEGS), "image/jpeg"),
    "/zipped": zipped,
    "/chunked": in_chunks,
}


@pytest.mark.parametrize("path", WAYS)
def test_every_way_to_send(path: str) -> None:
    with http_camera(WAYS) as camera:
        read_all(camera, path, count=8)
        assert len(camera.connections) == 1


def test_bad_images_of_a_camera_are_left_out_and_counted() -> None:
    def broken(request: Request) -> None:
        request.stream(part(b"BROKEN" if number % 5 == 4 else JPEGS[number % 5]) for number in itertools.count())

    with http_camera({"/video": broken}) as camera, open_source(camera.url("/video")) as source:
        assert numbers(source, 8) == [0, 1, 2, 3, 0, 1, 2, 3]
        assert source.problems.skipped >= 1
        assert source.problem is None


@pytest.mark.parametrize(
    ("respond", "message"),
    [
        (lambda request: request.answer(200, "text/html", b"<html>"), r"is a web page \(text/html\) and no stream"),
        (
            lambda request: request.answer(200, "image/jpeg", JPEGS[0]),
            r"is a single image \(image/jpeg\) and no stream",
        ),
        (lambda request: request.answer(200, "video/mp4", b"nothing"), "but not with a video that can be decoded"),
        (
            lambda request: request.stream([part(b"\x89PNG").replace(b"jpeg", b"png")] * 9),
            "image/png images, which are not",
        ),
        (
            lambda request: request.stream([b"no image " * 9000]),
            "does not send its images as MJPEG does|not with a video",
        ),
        (lambda request: request.wfile.write(b"SSH-2.0\r\n"), "but not as HTTP does"),
    ],
)
def test_answers_that_are_no_stream(respond: Respond, message: str) -> None:
    with http_camera({"/video": respond}) as camera, pytest.raises(SourceError, match=message):
        open_source(camera.url("/video"))


def test_a_camera_without_a_good_image_is_given_up_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_client, "READ_TIMEOUT", 0.3)
    with http_camera({"/video": lambda request: request.stream(itertools.repeat(part(JPEGS[0][:-2])))}) as camera:
        is_refused(camera, "/video", match=r"sent no image for 0\.3 s \(a JPEG of .* is cut off")


def test_headers_that_arrive_too_slowly_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_client, "CONNECT_TIMEOUT", 0.2)

    def drip(request: Request) -> None:
        request.wfile.write(b"HTTP/1.1 200 OK\r\n")
        while not request.camera.over.wait(0.1):
            request.wfile.write(b"X: y\r\n")

    with http_camera({"/video": drip}) as camera:
        started = time.monotonic()
        with pytest.raises(SourceError):
            open_source(camera.url("/video"))
        assert time.monotonic() - started < 10


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The same ten frames, a twentieth of a second apart, in several containers."""
    folder = tmp_path_factory.mktemp("clips")
    made = {}
    for name, options in {
        "a.mp4": {"container_options": {"movflags": "faststart"}},
        "index-last.mp4": {},
        "a.ts": {},
        "a.mkv": {},
        "a.flv": {},
        "a.webm": {"codec": "libvpx-vp9"},
        "raw.h264": {"container": "h264"},
    }.items():
        write_video(folder / name, gray_levels(10, step=20), fps=20, **options)  # type: ignore[arg-type]
        made[name] = (folder / name).read_bytes()
    return made


def with_length(body: bytes, kind: str) -> Respond:
    return lambda request: request.answer(200, kind, body)


def without_length(body: bytes, kind: str) -> Respond:
    def respond(request: Request) -> None:
        request.head(200, ("Content-Type", kind))
        request.wfile.write(body)

    return respond


def chunks(body: bytes, kind: str) -> Respond:
    return lambda request: request.chunked([body[at : at + 1000] for at in range(0, len(body), 1000)], kind)


def ranges(body: bytes, kind: str) -> Respond:
    def respond(request: Request) -> None:
        asked = request.headers["Range"]
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        content = ("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        request.answer(
            206 if asked else 200, kind, body[start:], ("Accept-Ranges", "bytes"), *([content] if asked else [])
        )

    return respond


@pytest.mark.parametrize("name", ["a.mp4", "index-last.mp4", "a.ts", "a.mkv", "a.flv", "a.webm", "raw.h264"])
@pytest.mark.parametrize("send", [with_length, without_length, chunks, ranges])
def test_a_video_plays_once_at_its_own_speed(clips: dict[str, bytes], name: str, send: object) -> None:
    if name == "index-last.mp4" and send in (without_length, chunks):
        pytest.skip("it cannot be played by whoever cannot seek in it")
    started = time.monotonic()
    with http_camera({"/": send(clips[name], "video/any")}) as camera, open_source(camera.url()) as source:  # type: ignore[operator]
        levels = [brightness(each) for each in source]
        assert time.monotonic() - started > 0.44
        assert source.native_fps == 20
        assert levels == pytest.approx([20 * number for number in range(10)], abs=6)
        full = [headers for _, headers in camera.requests if "Range" not in headers]
        assert len(full) == 1
        assert source.problem is None


def test_a_server_that_takes_one_connection_is_enough(clips: dict[str, bytes]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            listening.close()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Type: video/mp2t\r\n\r\n" + clips["a.ts"])

        serving = threading.Thread(target=serve)
        serving.start()
        with open_source(f"http://127.0.0.1:{listening.getsockname()[1]}/") as source:
            assert len(list(source)) == 10
        serving.join()


def test_a_video_loops_if_told(clips: dict[str, bytes]) -> None:
    with http_camera({"/": with_length(clips["a.ts"], "video/mp2t")}) as camera:
        with open_source(camera.url(), loop=True) as source:
            assert all(source.read() is not None for _ in range(15))
        assert len(camera.requests) >= 2


def test_a_video_that_breaks_off_goes_on_where_it_was(clips: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    body = clips["a.ts"]

    def breaking(request: Request) -> None:
        request.head(200, ("Content-Type", "video/mp2t"), ("Content-Length", str(len(body))))
        request.wfile.write(body[: len(body) * 2 // 3] if len(camera.requests) == 1 else body)

    with http_camera({"/": breaking}) as camera, open_source(camera.url()) as source:
        levels = [brightness(each) for each in source]
    assert levels == pytest.approx([20 * number for number in range(10)], abs=6)
    assert len(camera.requests) == 2


def test_a_jump_of_the_timestamps_does_not_stop_a_stream(tmp_path: Path) -> None:
    body = b""
    for start in (0.0, 600.0):
        times = [start + 0.05 * number for number in range(10)]
        write_video(tmp_path / "part.ts", gray_levels(10, step=20), times=times, fps=20, options={"bf": "0"})
        body += (tmp_path / "part.ts").read_bytes()
    with http_camera({"/": chunks(body, "video/mp2t")}) as camera, open_source(camera.url()) as source:
        started = time.monotonic()
        assert len(list(source)) == 20
        assert time.monotonic() - started < 20
        assert any("jump ahead" in each for each in source.problems.sentences())


def playlist(*names: str, more: str = "") -> bytes:
    lines = ["#EXTM3U", "#EXT-X-VERSION:3", "#EXT-X-TARGETDURATION:1", *([more] if more else [])]
    for name in names:
        lines += ["#EXTINF:0.5,", name]
    return "\n".join([*lines, "#EXT-X-ENDLIST", ""]).encode()


def test_a_playlist_of_segments_is_played_with_the_credentials_of_its_host(tmp_path: Path) -> None:
    segments = []
    for start in (0.0, 0.5):
        times = [start + 0.05 * number for number in range(10)]
        write_video(tmp_path / "part.ts", gray_levels(10, step=20), times=times, fps=20, options={"bf": "0"})
        segments.append((tmp_path / "part.ts").read_bytes())

    def protected(body: bytes, kind: str) -> Respond:
        def respond(request: Request) -> None:
            if request.signed_in('Basic realm="camera"', basic=True):
                request.answer(200, kind, body)

        return respond

    routes = {
        "/live/index.m3u8": protected(playlist("0.ts", "/live/1.ts"), "application/vnd.apple.mpegurl"),
        "/live/0.ts": protected(segments[0], "video/mp2t"),
        "/live/1.ts": protected(segments[1], "video/mp2t"),
    }
    with http_camera(routes) as camera, open_source(camera.url("/live/index.m3u8", user=RIGHT)) as source:
        levels = [brightness(each) for each in source]
    assert levels == pytest.approx([20 * number for number in range(10)] * 2, abs=6)


def test_a_playlist_leads_to_http_only(tmp_path: Path) -> None:
    (tmp_path / "secret.ts").write_bytes(b"secret")
    for name in (f"file://{tmp_path}/secret.ts", f"{tmp_path}/secret.ts"):
        routes = {"/a.m3u8": with_length(playlist(name), "application/x-mpegurl")}
        with http_camera(routes) as camera, pytest.raises(SourceError):
            open_source(camera.url("/a.m3u8"))


def test_gzip_that_is_none_is_an_error() -> None:
    body = gzip.compress(part(JPEGS[0]))[:-20] + b"nonsense"

    def respond(request: Request) -> None:
        request.head(200, ("Content-Type", "multipart/x-mixed-replace"), ("Content-Encoding", "gzip"))
        request.wfile.write(b"\x1f\x8b" + body)
        request.camera.over.wait()

    with http_camera({"/video": respond}) as camera, pytest.raises(SourceError, match=r"sends no more|not as HTTP"):
        open_source(camera.url("/video"))


def test_closing_breaks_off_a_request_that_hangs() -> None:
    with http_camera({"/video": lambda request: request.camera.over.wait()}) as camera:
        with open_source(camera.url("/video"), wait=True):
            wait_for(lambda: camera.requests, what="the request")
        wait_for(
            lambda: not any("rededge http" in each.name for each in threading.enumerate()), timeout=4, what="the end"
        )
