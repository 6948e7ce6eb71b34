"""Download a file of weights once: into a folder, with progress, checked by its hash."""

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

# Seconds without a byte.
TIMEOUT = 30.0
CHUNK_BYTES = 1 << 20

SHA256_RE = re.compile(r"[0-9a-f]{64}")

# Two threads that want the same file download it once.
DOWNLOAD_LOCK = threading.Lock()


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file to download.

    Attributes:
        url: address, http or https.
        name: name of the file in the cache.
        sha256: start of the hash; empty if unknown. The Hugging Face Hub sends the whole hash with
            the file (`X-Linked-ETag`).
    """

    url: str
    name: str
    sha256: str = ""

    @property
    def host(self) -> str:
        """Host and port of the address."""
        return urlsplit(self.url).netloc


def download_cached(source: RemoteFile, folder: Path) -> Path:
    """Return a file of the cache; download it if it is missing or damaged.

    A hash that only the host knows is saved beside the file. An existing file whose hash is
    unknown is used as it is.

    Args:
        source: file to download.
        folder: folder of the cache, created if missing.

    Returns:
        Path of the file.

    Raises:
        DownloadError: the file could not be downloaded or written.
    """
    path = folder / source.name
    # Concurrent runs are safe too: each writes a temporary file of its own.
    with DOWNLOAD_LOCK:
        if not _is_intact(path, source.sha256 or _read_hash(path)):
            _download(source, path)
    return path


def _is_intact(path: Path, expected: str) -> bool:
    """Return whether a file exists and its hash starts as expected."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest().startswith(expected)


def _hash_path(path: Path) -> Path:
    """Return the path of the file that holds a downloaded file's hash."""
    return path.with_name(f"{path.name}.sha256")


def _read_hash(path: Path) -> str:
    """Return the saved hash of a file, or "" if there is none."""
    try:
        text = _hash_path(path).read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""
    return text if SHA256_RE.fullmatch(text) else ""


def _download(source: RemoteFile, path: Path) -> None:
    """Download to a temporary file and rename it when complete, so that no partial file is seen."""
    handle, part = _create_temporary(source, path)
    try:
        with os.fdopen(handle, "wb") as file:
            expected, actual = _receive(source, file)
        if not actual.startswith(expected):
            raise DownloadError(_describe_failure(source, path, "the SHA-256 does not match"))
        # Renaming is atomic within a folder.
        Path(part).replace(path)
        # The next run can then check the file without the host.
        if not source.sha256 and expected:
            _hash_path(path).write_text(f"{expected}\n")
    except DownloadError:
        raise
    # ValueError: not a web address.
    except (OSError, http.client.HTTPException, ValueError) as error:
        if isinstance(error, urllib.error.HTTPError):
            # The error holds the connection.
            error.close()
        raise DownloadError(_describe_failure(source, path, _reason(error))) from error
    finally:
        Path(part).unlink(missing_ok=True)


def _create_temporary(source: RemoteFile, path: Path) -> tuple[int, str]:
    """Create a temporary file beside the target; return its descriptor and path."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return tempfile.mkstemp(suffix=".part", prefix=f"{path.name}.", dir=path.parent)
    except OSError as error:
        raise DownloadError(
            f"Cannot write {source.name} to {path.parent} ({error.strerror}): "
            "set TORCH_HOME to a writable folder."
        ) from error


def _receive(source: RemoteFile, file: IO[bytes]) -> tuple[str, str]:
    """Write the file; return the expected hash (its start, or "" if unknown) and the actual one."""
    if urlsplit(source.url).scheme not in ("http", "https"):
        raise ValueError(f"{source.url} is not a web address")
    redirects = _RedirectHandler()
    # The opener uses the proxies of the environment.
    opener = urllib.request.build_opener(redirects)
    request = urllib.request.Request(  # noqa: S310 - the scheme is checked above
        source.url, headers={"User-Agent": "lightning-resnets"}
    )
    digest = hashlib.sha256()
    with opener.open(request, timeout=TIMEOUT) as response:
        # The Hugging Face Hub sends the hash with its redirect to the file.
        headers = [*redirects.headers, response.headers]
        size = _find_size(headers)
        progress = DownloadProgress(source, size)
        while chunk := response.read(CHUNK_BYTES):
            file.write(chunk)
            digest.update(chunk)
            progress.update(len(chunk))
    # urllib does not report a connection that ends early.
    if size and progress.done != size:
        raise OSError(f"the connection ended after {progress.done:,} of {size:,} bytes")
    progress.close()
    return source.sha256 or _find_hash(headers), digest.hexdigest()


class _RedirectHandler(urllib.request.HTTPRedirectHandler):
    """Follow redirects, keep their headers, and refuse those from https to http."""

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
        """Return the request for the new address."""
        # Weights sent over http can be changed on the way.
        if req.type == "https" and urlsplit(newurl).scheme != "https":
            fp.close()
            raise OSError("it redirects to an address that is not secure")
        self.headers.append(headers)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _find_size(headers: list[Message]) -> int:
    """Return the length of the file in bytes, or 0 if the host does not send it."""
    linked = next((one["X-Linked-Size"] for one in headers if one["X-Linked-Size"]), None)
    text = str(linked or headers[-1]["Content-Length"] or "")
    return int(text) if text.isdecimal() else 0


def _find_hash(headers: list[Message]) -> str:
    """Return the SHA-256 that the Hugging Face Hub sends, or "" if there is none."""
    for one in headers:
        tag = str(one["X-Linked-ETag"] or "").strip('"').removeprefix('W/"').lower()
        if SHA256_RE.fullmatch(tag):
            return tag
    return ""


class DownloadProgress:
    """Progress on standard error: one line that counts up on a terminal, two lines elsewhere.

    Args:
        source: file that is downloaded.
        size: length in bytes; 0 if unknown.
    """

    def __init__(self, source: RemoteFile, size: int) -> None:
        self.done = 0
        self.size = size
        self.name = source.name
        self.last_update = 0.0
        self.is_terminal = sys.stderr.isatty()
        megabytes = f"{size / 1e6:.1f} MB" if size else "unknown size"
        self._print(f"{self.name}, {megabytes}, from {source.host}\n")

    def update(self, count: int) -> None:
        """Add to the bytes received and on a terminal show them, at most five times a second.

        Args:
            count: number of new bytes.
        """
        self.done += count
        now = time.monotonic()
        # A log file gets the first and the last line only.
        if not self.is_terminal or now - self.last_update <= 0.2:
            return
        self.last_update = now
        percent = f", {100 * self.done / self.size:.0f} %" if self.size else ""
        self._print(f"\r{self.name} {self.done / 1e6:.1f} MB{percent} ")

    def close(self) -> None:
        """Print the last line, over the one that counts."""
        start = "\r" if self.is_terminal else ""
        self._print(f"{start}{self.name} downloaded       \n")

    def _print(self, text: str) -> None:
        """Print to standard error at once."""
        print(text, end="", file=sys.stderr, flush=True)


def _describe_failure(source: RemoteFile, path: Path, reason: str) -> str:
    """Return the message for a download that failed."""
    return (
        f"Could not download {source.name} from {source.host} ({reason}). Connect to the internet, "
        f"or save {source.url} as {path.name} in {path.parent}."
    )


def _reason(error: Exception) -> str:
    """Describe in a few words why the connection failed."""
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP {error.code} {error.reason}"
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, TimeoutError):
        return f"no answer for {TIMEOUT:g} seconds"
    if isinstance(cause, http.client.IncompleteRead):
        return f"the connection ended after {len(cause.partial):,} bytes"
    text = cause.strerror if isinstance(cause, OSError) else None
    return text or str(cause) or type(cause).__name__
