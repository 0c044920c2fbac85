"""Addresses of catalogues and runs: local paths, `file:///path` and `s3://bucket/key`, and nothing else.

Whatever opens a URL can be made to ask a service inside somebody's network.  So an address is read here, by one rule,
before any library sees it.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from dgmmis.errors import UnsafePlace

__all__ = ["Address", "local_path", "place_of", "require_endpoint"]

SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:")
COLLAPSED = re.compile(r"^([A-Za-z][A-Za-z0-9+.\-]+:)/(?!/)")
"""What a `Path` makes of the beginning of a URL."""
BUCKET = re.compile(r"[a-z0-9][a-z0-9.\-]{1,61}[a-z0-9]", re.ASCII)
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
METADATA = {"metadata.google.internal", "metadata", "instance-data", "metadata.azure.internal"}
"""Names under which clouds serve the machine's own credentials."""


@dataclass(frozen=True)
class Address:
    """Where something lies.

    Attributes
    ----------
    scheme : str
        "file" or "s3".
    bucket : str
        Of s3; "" for files.
    path : str
        Local path, or key in the bucket without a leading slash.
    """

    scheme: str
    bucket: str
    path: str

    def __str__(self) -> str:
        return self.path if self.scheme == "file" else f"s3://{self.bucket}/{self.path}"


def place_of(address: str | Path) -> Address:
    """Read an address.

    Parameters
    ----------
    address : str or Path
        A `Path` that was made of a URL is read as that URL.

    Raises
    ------
    UnsafePlace
        If it is of another scheme, chained, holds credentials or a query, or names no bucket or no path.  The message
        does not repeat what may be a secret.
    """
    text = str(address)
    if isinstance(address, Path):
        text = COLLAPSED.sub(r"\1//", text)
    if not SCHEME.match(text) or ("://" not in text and "::" not in text and Path(text).exists()):
        return _local(text)
    if "::" in text:
        raise _refused(text, "addresses are not chained")
    parts = _parts(text)
    if parts.scheme == "file":
        return _file(text, parts)
    if parts.scheme == "s3":
        return _s3(text, parts)
    raise _refused(text, "its scheme is not among these")


def _parts(text: str) -> SplitResult:
    if CONTROL.search(text) or "\\" in text:
        raise _refused(text, "it holds control characters or backslashes")
    try:
        parts = urlsplit(text)
    except ValueError as error:
        raise _refused(text, "it is no URL") from error
    if "@" in parts.netloc or "?" in text or "#" in text:
        raise _refused(text, "credentials, queries and fragments do not belong into an address")
    return parts


def local_path(address: str | Path) -> Path:
    """Read an address that must be local; raises `UnsafePlace` otherwise."""
    place = place_of(address)
    if place.scheme != "file":
        raise UnsafePlace(f"{place} lies in an object store, and this must be a local path.")
    return Path(place.path)


def require_endpoint(url: str) -> str:
    """Check the address of an S3-compatible server: https, or http on this machine.

    Raises
    ------
    UnsafePlace
        If it is anything else, holds credentials, or names a link-local host, where clouds serve secrets.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        raise UnsafePlace("the endpoint is no URL; write https://host[:port].") from error
    plain = not (CONTROL.search(url) or "@" in parts.netloc or parts.query or parts.fragment or "\\" in url)
    if not plain or not host or parts.path not in ("", "/"):
        raise UnsafePlace("the endpoint is not of the form https://host[:port], without credentials or path.")
    address = _ip(host)
    if host.rstrip(".") in METADATA or (address is not None and not _is_reachable(address)):
        raise UnsafePlace(f"the endpoint {host} is a link-local or metadata address. Name the server itself.")
    on_this_machine = host == "localhost" or (address is not None and address.is_loopback)
    if parts.scheme != "https" and not (parts.scheme == "http" and on_this_machine):
        raise UnsafePlace(f"the endpoint {host} must be reached by https; http is for this machine only.")
    return url


def _local(path: str) -> Address:
    if "\x00" in path or not path:
        raise UnsafePlace(f"{path!r:.100} is no path. Give the path of a file or folder, or s3://bucket/key.")
    return Address("file", "", path)


def _file(text: str, parts: SplitResult) -> Address:
    path = unquote(parts.path)
    if parts.netloc not in ("", "localhost") or not path.startswith("/") or path.startswith("//"):
        raise _refused(text, "a file's address is file:///absolute/path")
    return _local(path)


def _s3(text: str, parts: SplitResult) -> Address:
    bucket, key = parts.netloc, parts.path.strip("/")
    if not BUCKET.fullmatch(bucket) or ".." in bucket or _ip(bucket) is not None:
        raise _refused(text, "it names no bucket: 3 to 63 of a-z, 0-9, '.' and '-', and no number of a host")
    if not key or any(part in ("", ".", "..") for part in unquote(key).split("/")) or "%" in key:
        raise _refused(text, "its key is empty or has empty, '.', '..' or percent-encoded parts")
    return Address("s3", bucket, key)


def _ip(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Read a host that is a number, in the shorthand forms too that resolvers accept."""
    try:
        return ipaddress.ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        pass
    numbers = host.rstrip(".").split(".")
    if len(numbers) <= 4 and all(re.fullmatch(r"0[xX][0-9a-fA-F]+|[0-9]+", number) for number in numbers):
        return ipaddress.IPv4Address(
            0
        )  # such as 2852039166 or 0xa9.254.169.254: never the way to name a server
    return None


def _is_reachable(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    mapped = getattr(address, "ipv4_mapped", None)
    plain = mapped or address
    return not (
        plain.is_link_local or plain.is_unspecified or plain.is_multicast or str(plain) == "fd00:ec2::254"
    )


def _refused(text: str, why: str) -> UnsafePlace:
    shown = "an address with credentials" if "@" in text or "?" in text else repr(text[:100])
    return UnsafePlace(
        f"{shown} cannot be opened: {why}. Give a local path, file:///path or s3://bucket/key; credentials come from "
        "the environment."
    )
