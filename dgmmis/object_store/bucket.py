"""Objects under a prefix of a bucket: read, put once, put if unchanged, listed."""

from __future__ import annotations

import errno
import hashlib
import re
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from dgmmis.errors import CorruptCheckpoint, MissingLibrary, ObjectStoreError, UnsafeFile
from dgmmis.location import S3Url
from dgmmis.object_store import connecting
from dgmmis.object_store.answers import Changed, Stored

try:
    import obstore
    from obstore.exceptions import (
        AlreadyExistsError,
        BaseError,
        GenericError,
        PermissionDeniedError,
        PreconditionError,
        UnauthenticatedError,
    )
    from obstore.store import S3Store
except ImportError as error:
    raise MissingLibrary(
        f"s3:// needs obstore, which cannot be imported ({error}). Install it: pip install 'dgmmis[s3]'."
    ) from error

if TYPE_CHECKING:
    from obstore import GetResult, PutMode

__all__ = ["ATTEMPTS", "Bucket"]

ATTEMPTS = 6
"""Of a request whose body came cut or altered, or whose answer was lost; obstore's own come on top."""
SHA256 = "dgmmis-sha256"
"""Metadata of an object: of its content, as it was handed to the store."""
WRITER = "dgmmis-writer"
"""Metadata of an object: which call put it, so that a call whose answer was lost knows its own object."""

T = TypeVar("T")


class Bucket:
    """The objects whose names begin with a prefix; several threads may use it.

    Pickled, it is its address; whoever unpickles it connects by the environment there.

    Parameters
    ----------
    url : S3Url
    """

    def __init__(self, url: S3Url) -> None:
        self.url = url

    def __reduce__(self) -> tuple[object, ...]:
        return Bucket, (self.url,)

    def __repr__(self) -> str:
        return f"Bucket({str(self.url)!r})"

    @cached_property
    def _store(self) -> S3Store:
        return S3Store(self.url.bucket, **connecting.request_settings())

    def get(self, name: str, most: int | None = None, *, checked: bool = True) -> Stored:
        """Read an object.

        Parameters
        ----------
        most : int, optional
            Bytes that it may have.
        checked : bool
            Compare its content with the hash that it was put with; False for who has a hash of its own.

        Raises
        ------
        FileNotFoundError
            If the store says that there is none.
        ObjectStoreError
            If it says anything else, or nothing, or its answers are cut short again and again.
        CorruptCheckpoint
            If the content is not the one that was put.
        UnsafeFile
            If it has more than `most` bytes: they are not read.
        """
        key = self._key(name)

        def read() -> tuple[GetResult, bytes]:
            found = obstore.get(self._store, key)
            if most is not None and found.meta["size"] > most:
                size = found.meta["size"]
                raise UnsafeFile(self._named(name), f"has {size} bytes, and at most {most} are read")
            return found, bytes(found.bytes())

        for _ in range(ATTEMPTS):
            found, content = self._until_answered("read", name, read)
            known = found.attributes.get(SHA256) if checked else None
            if known is None or known == hashlib.sha256(content).hexdigest():
                return Stored(content, str(found.meta["e_tag"]))
        raise CorruptCheckpoint(
            f"{self._named(name)} does not match the hash it was put with: it was altered. Restore it from a copy."
        )

    def exists(self, name: str) -> bool:
        """Tell whether there is an object of that name."""
        return self.size(name) is not None

    def size(self, name: str) -> int | None:
        """Bytes of an object, None if there is none."""
        key = self._key(name)
        try:
            return self._until_answered("look for", name, lambda: int(obstore.head(self._store, key)["size"]))
        except FileNotFoundError:
            return None

    def put_if_absent(self, name: str, content: bytes) -> str:
        """Put an object where there is none, in one step of the store; give its etag.

        Raises
        ------
        FileExistsError
            If there is one that another call put.
        ObjectStoreError
        """
        mine = uuid.uuid4().hex

        def put() -> str:
            try:
                return self._put(name, content, "create", {WRITER: mine})
            except AlreadyExistsError:
                there = obstore.get(self._store, self._key(name), options={"head": True})
                if there.attributes.get(WRITER) != mine:
                    raise FileExistsError(errno.EEXIST, "there is an object", self._named(name)) from None
                return str(there.meta["e_tag"])

        return self._until_answered("write", name, put)

    def put_if_unchanged(self, name: str, content: bytes, etag: str) -> str:
        """Put an object over the one that has this etag, in one step of the store; give the new etag.

        Parameters
        ----------
        content : bytes
            Never the content of an earlier object of that name: by it an own object is known.

        Raises
        ------
        Changed
            If the object is another one by now, or gone.
        ObjectStoreError
        """

        def put() -> str:
            try:
                return self._put(name, content, {"e_tag": etag}, {})
            except (PreconditionError, FileNotFoundError):
                there = self._found(name)
                if there is None or there.content != content:
                    raise Changed(self._named(name)) from None
                return there.etag

        return self._until_answered("write", name, put)

    def put(self, name: str, content: bytes) -> None:
        """Put an object, over another one if there is one."""
        self._until_answered("write", name, lambda: self._put(name, content, "overwrite", {}))

    def delete(self, name: str) -> None:
        """Remove an object, if it is there."""
        with self._telling("delete", name):
            obstore.delete(self._store, self._key(name))

    def names(self, prefix: str = "") -> list[str]:
        """Names of all objects in a folder and in the folders below it, without the folder, sorted."""
        key = self._key(prefix)
        found = self._until_answered(
            "list",
            prefix,
            lambda: [o["path"] for some in obstore.list(self._store, prefix=key) for o in some],
        )
        return sorted(str(name).removeprefix(f"{key}/") for name in found)

    def folders(self) -> list[str]:
        """Names of the folders directly here, sorted."""
        key = self._key("")
        found = self._until_answered("list", "", lambda: obstore.list_with_delimiter(self._store, prefix=key))
        return sorted(str(name).rstrip("/").rpartition("/")[2] for name in found["common_prefixes"])

    def _put(self, name: str, content: bytes, mode: PutMode, attributes: dict[str, str]) -> str:
        known = {**attributes, SHA256: hashlib.sha256(content).hexdigest()}
        try:
            put = obstore.put(
                self._store, self._key(name), content, mode=mode, attributes=known, use_multipart=False
            )
        except FileNotFoundError:
            if not isinstance(mode, str):
                raise
            raise self._failed("write", name, "there is no such bucket") from None
        return str(put["e_tag"])

    def _found(self, name: str) -> Stored | None:
        try:
            return self.get(name)
        except FileNotFoundError:
            return None

    def _key(self, name: str) -> str:
        return (self.url / name).key

    def _named(self, name: str) -> str:
        return str(self.url / name)

    def _until_answered(self, verb: str, name: str, request: Callable[[], T]) -> T:
        """Repeat a request that may be repeated, though obstore does not know that it may, or that it should."""
        give_up = time.monotonic() + connecting.RETRY_SECONDS
        for attempt in range(ATTEMPTS):
            with self._telling(verb, name):
                try:
                    return request()
                except GenericError:
                    if attempt == ATTEMPTS - 1 or time.monotonic() > give_up:
                        raise
            time.sleep(connecting.FIRST_WAIT * 2**attempt)
        raise self._failed(verb, name, "it does not answer")

    @contextmanager
    def _telling(self, verb: str, name: str) -> Iterator[None]:
        """Turn what obstore raises into errors that name the object, without a word of the store's answer in them.

        An answer may repeat what identifies the asker.
        """
        try:
            yield
        except FileNotFoundError:
            raise FileNotFoundError(errno.ENOENT, "No such object", self._named(name)) from None
        except (PermissionDeniedError, UnauthenticatedError):
            raise self._failed(
                verb, name, "the store refuses it with the credentials of this environment"
            ) from None
        except BaseError as error:
            raise self._failed(verb, name, _reason(error)) from None

    def _failed(self, verb: str, name: str, what: str) -> ObjectStoreError:
        return ObjectStoreError(verb, self._named(name), what)


def _reason(error: Any) -> str:
    """Say in few words what went wrong, from the words in which obstore puts it."""
    text = str(error)
    status = re.search(r"status code: (\d{3}[A-Za-z ]*)", text)
    retries = re.search(r"after (\d+) retries", text)
    again = f", also when asked {retries[1]} times more" if retries else ""
    if status:
        return f"the store answers {status[1].strip()}{again}"
    if re.search(r"timed? ?out", text, re.IGNORECASE):
        return f"the store does not answer in time{again}"
    return f"the store cannot be reached, or breaks off ({type(error).__name__}){again}"
