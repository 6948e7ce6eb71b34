"""Fetching a file of weights once: into a folder, with progress, checked by its hash, in one piece or not at all."""

import hashlib
import http.client
import os
import re
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from lightning_resnets.errors import DownloadError

TIMEOUT = 30.0  # seconds without a byte


CHUNK_BYTES = 1 << 20  # bytes


SHA256 = re.compile(r"[0-9a-f]{64}")


DOWNLOAD_LOCK = threading.Lock()  # two threads that want the same file fetch it once


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """Where a file lies (`url`), how it is called in the cache, and the beginning of its SHA-256 where that is known.

    A host may send the whole hash in its answer instead (Hugging Face: `X-Linked-ETag`).
    """

    url: str
    name: str
    sha256: str = ""

    @property
    def host(self) -> str:
        return urlsplit(self.url).netloc


def download_cached(source: RemoteFile, folder: Path) -> Path:
    """The file in the folder, fetched where it is not there or damaged; raises DownloadError.

    A hash that only the host knew is kept beside the file. A file that somebody else put there and whose hash nobody
    knows is taken as it is.
    """
    path = folder / source.name
    with DOWNLOAD_LOCK:
        if not _whole(path, source.sha256 or _kept(path)):
            _fetch(source, path)
    return path


def _whole(path: Path, expected: str) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest().startswith(expected)


def _note(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _kept(path: Path) -> str:
    try:
        text = _note(path).read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""
    return text if SHA256.fullmatch(text) else ""


def _fetch(source: RemoteFile, path: Path) -> None:
    """To a file of its own beside the target, renamed when it is whole: nobody ever sees half a file."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, part = tempfile.mkstemp(suffix=".part", prefix=f"{path.name}.", dir=path.parent)
    except OSError as error:
        raise DownloadError(
            f"{source.name} has no place in {path.parent} ({error.strerror}): set TORCH_HOME to a folder that you may "
            "write."
        ) from error
    try:
        with os.fdopen(handle, "wb") as file:
            expected, found = _receive(source, file)
        if not found.startswith(expected):
            raise DownloadError(
                _sentence(source, path, "what came has another SHA-256 than was published")
            )
        Path(part).replace(path)
        if not source.sha256 and expected:
            _note(path).write_text(f"{expected}\n")
    except (OSError, http.client.HTTPException, ValueError) as error:
        if isinstance(error, DownloadError):
            raise
        if isinstance(error, urllib.error.HTTPError):
            error.close()  # it holds the connection
        raise DownloadError(_sentence(source, path, _reason(error))) from error
    finally:
        Path(part).unlink(missing_ok=True)


def _receive(source: RemoteFile, file: IO[bytes]) -> tuple[str, str]:
    """Writes the file; gives the hash that it should have (its beginning, or nothing) and the one that it has."""
    if urlsplit(source.url).scheme not in ("http", "https"):
        raise ValueError(f"{source.url} is no web address")
    follow = _Follow()
    opener = urllib.request.build_opener(follow)  # with the proxies that the environment names
    request = urllib.request.Request(source.url, headers={"User-Agent": "lightning-resnets"})  # noqa: S310 - checked
    digest = hashlib.sha256()
    with opener.open(request, timeout=TIMEOUT) as answer:
        first = [
            *follow.headers,
            answer.headers,
        ]  # the hub says the hash when it sends us on to where the file lies
        size = _number(first, "X-Linked-Size", "Content-Length")
        progress = DownloadProgress(source, size)
        while piece := answer.read(CHUNK_BYTES):
            file.write(piece)
            digest.update(piece)
            progress.add(len(piece))
    if size and progress.done != size:
        raise OSError(f"the connection ended after {progress.done:,} of {size:,} bytes")
    progress.end()
    return source.sha256 or _linked(first), digest.hexdigest()


class _Follow(urllib.request.HTTPRedirectHandler):
    """Goes where it is sent, and keeps what was said on the way; never from https to plain http."""

    def __init__(self) -> None:
        self.headers: list[Message] = []

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: Any,
        newurl: str,
    ) -> urllib.request.Request | None:
        if req.type == "https" and urlsplit(newurl).scheme != "https":
            fp.close()
            raise OSError("it sends us on to an address that is not secure")
        self.headers.append(headers)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _number(answers: list[Message], *names: str) -> int:
    """The file's length: what the host says of it, or what the last answer says of itself; 0 where nobody does."""
    linked = next((answer[names[0]] for answer in answers if answer[names[0]]), None)
    text = str(linked or answers[-1][names[1]] or "")
    return int(text) if text.isdecimal() else 0


def _linked(answers: list[Message]) -> str:
    tags = (
        str(answer["X-Linked-ETag"] or "").strip('"').removeprefix('W/"').lower()
        for answer in answers
    )
    return next((tag for tag in tags if SHA256.fullmatch(tag)), "")


class DownloadProgress:
    """How far it is, on standard error: one line that counts up on a terminal, the first and last elsewhere."""

    def __init__(self, source: RemoteFile, size: int) -> None:
        self.done, self.size, self.name, self.last = 0, size, source.name, 0.0
        self.live = sys.stderr.isatty()
        megabytes = f"{size / 1e6:.1f} MB" if size else "of a size that it does not say"
        print(f"{self.name}, {megabytes}, from {source.host}", file=sys.stderr, flush=True)

    def add(self, count: int) -> None:
        self.done += count
        if self.live and (now := time.monotonic()) - self.last > 0.2:
            self.last = now
            share = f", {100 * self.done / self.size:.0f} %" if self.size else ""
            print(
                f"\r{self.name} {self.done / 1e6:.1f} MB{share} ",
                end="",
                file=sys.stderr,
                flush=True,
            )

    def end(self) -> None:
        print(
            f"{chr(13) if self.live else ''}{self.name} is there       ",
            file=sys.stderr,
            flush=True,
        )


def _sentence(source: RemoteFile, path: Path, reason: str) -> str:
    return (
        f"{source.name} could not be fetched from {source.host} ({reason}): connect to the internet once, or put the "
        f"file {source.url} as {path.name} into {path.parent}."
    )


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"it answers {error.code} {error.reason}"
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, TimeoutError):
        return f"no answer for {TIMEOUT:g} seconds"
    if isinstance(cause, http.client.IncompleteRead):
        return f"the connection ended after {len(cause.partial):,} bytes"
    return (
        cause.strerror if isinstance(cause, OSError) and cause.strerror else str(cause)
    ) or type(cause).__name__
