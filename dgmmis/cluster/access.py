"""Who may talk to whom: encryption of our own clusters, and of the way to others."""

from __future__ import annotations

import ipaddress
import ssl
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from distributed.comm.addressing import parse_address, parse_host_port
from distributed.security import Security

from dgmmis.errors import InsecureCluster, InvalidSetting

__all__ = ["Access", "is_loopback", "temporary_security"]

IN_CONFIGURATION = "(or as distributed.comm.tls in Dask's configuration)"


@dataclass(frozen=True)
class Access:
    """How to reach a cluster that is there already.

    Attributes
    ----------
    ca, cert, key : Path, optional
        PEM files: of the authority that signed the cluster's certificates, of our own certificate, and of its key.
        What is not given comes from Dask's configuration.
    insecure : bool
        Talk in the clear to a `tcp://` scheduler beyond this machine.
    """

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    insecure: bool = False

    def security(self, address: str) -> Security | None:
        """Return what a client of `address` must know; None for `tcp://`.

        Raises
        ------
        InvalidSetting
            If it is no address of a scheduler, or the files are of no use.
        InsecureCluster
            If talking to it would not be safe, and was not asked for by name.
        """
        scheme, host = _scheme_and_host(address)
        if scheme == "tls":
            return self._encrypted()
        if self.ca or self.cert or self.key:
            raise InvalidSetting(
                f"{address} is not encrypted, so certificates are of no use: write tls://HOST:PORT."
            )
        if not (is_loopback(host) or self.insecure):
            raise InsecureCluster(
                f"{address} is another machine, and tcp:// is neither encrypted nor tells who talks: whoever "
                "reads along can run programs under this account. Use tls:// with certificates (deploy/README.md "
                "tells how), a tunnel to 127.0.0.1, or, inside a network that you trust, --insecure-cluster (in Python "
                "Access(insecure=True))."
            )
        return None

    def _encrypted(self) -> Security:
        given = {"tls_ca_file": self.ca, "tls_client_cert": self.cert, "tls_client_key": self.key}
        for path in filter(None, given.values()):
            _require_readable(path)
        if self.key is not None:
            _require_private(self.key)
        named = {name: str(path) for name, path in given.items() if path is not None}
        try:
            security: Any = Security(require_encryption=True, **named)
            if not (security.tls_ca_file and security.tls_client_cert):
                raise InvalidSetting(
                    f"tls:// needs certificates: name --tls-ca, --tls-cert and --tls-key {IN_CONFIGURATION}."
                )
            security.get_connection_args("client")
        except (ssl.SSLError, OSError, ValueError) as error:
            if isinstance(error, InvalidSetting):
                raise
            raise InvalidSetting(
                f"the certificates cannot be used: {error}. Name PEM files that belong together by --tls-ca, "
                f"--tls-cert and --tls-key {IN_CONFIGURATION}."
            ) from error
        return cast("Security", security)


def temporary_security() -> Security:
    """Make a certificate for one cluster of this machine: its key is never stored, and TLS is 1.3."""
    return cast("Security", Security.temporary(tls_min_version=ssl.TLSVersion.TLSv1_3))


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine's loopback, by its number or as localhost; no name is looked up."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _scheme_and_host(address: str) -> tuple[str, str]:
    try:
        scheme, place = parse_address(address, strict=True)
        host, _ = parse_host_port(place)
    except ValueError as error:
        raise InvalidSetting(
            f"{address!r:.200} is no scheduler: write tcp://HOST:PORT or tls://HOST:PORT."
        ) from error
    if scheme not in ("tcp", "tls") or not host:
        raise InvalidSetting(f"{address!r:.200} is no scheduler: write tcp://HOST:PORT or tls://HOST:PORT.")
    return scheme, host


def _require_readable(path: Path) -> None:
    try:
        path.open("rb").close()
    except OSError as error:
        raise InvalidSetting(f"{path} cannot be read ({error.strerror}); it must be a PEM file.") from error


def _require_private(key: Path) -> None:
    if key.stat().st_mode & stat.S_IROTH:
        raise InsecureCluster(
            f"everybody on this machine can read the key {key}: chmod o-rwx it, and make a new one if "
            "others log in here."
        )
