"""Objects under a prefix of a bucket: read, put once, put if unchanged, listed."""

from __future__ import annotations

import errno
import re
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any, TypeVar

from dgmmis.errors import MissingLibrary, ObjectStoreError
from dgmmis.location import S3Url
from dgmmis.object_store.answers import Changed, Stored
from dgmmis.object_store.connecting import request_settings

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

__all__ = ["ATTEMPTS", "Bucket"]

ATTEMPTS = 4
"""Of reading a body that came cut, and of a conditional put whose answer was lost; obstore's own come on top."""
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
        return S3Store(self.url.bucket, **request_settings())

    def get(self, name: str) -> Stored:
        """Read an object.

        Raises
        ------
        FileNotFoundError
            If the store says that there is none.
        ObjectStoreError
            If it says anything else, or nothing, or its answers are cut short again and again.
        """
        key = self._key(name)
        for attempt in range(ATTEMPTS):
            with self._telling("read", name):
                found = obstore.get(self._store, key)
                try:
                    content = bytes(found.bytes())
                except BaseError:
                    if attempt == ATTEMPTS - 1:
                        raise
                    continue
            if len(content) == found.meta["size"]:
                return Stored(content, str(found.meta["e_tag"]))
        raise self._failed("read", name, f"its content came cut {ATTEMPTS} times")

    def exists(self, name: str) -> bool:
        """Tell whether there is an object of that name."""
        return self.size(name) is not None

    def size(self, name: str) -> int | None:
        """Bytes of an object, None if there is none."""
        try:
            with self._telling("look for", name):
                return int(obstore.head(self._store, self._key(name))["size"])
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
                put = obstore.put(
                    self._store,
                    self._key(name),
                    content,
                    mode="create",
                    attributes={WRITER: mine},
                    use_multipart=False,
                )
            except AlreadyExistsError:
                there = obstore.get(self._store, self._key(name), options={"head": True})
                if there.attributes.get(WRITER) != mine:
                    raise FileExistsError(errno.EEXIST, "there is an object", self._named(name)) from None
                return str(there.meta["e_tag"])
            return str(put["e_tag"])

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
                put = obstore.put(
                    self._store, self._key(name), content, mode={"e_tag": etag}, use_multipart=False
                )
            except (PreconditionError, FileNotFoundError):
                try:
                    there = self.get(name)
                except FileNotFoundError:
                    raise Changed(self._named(name)) from None
                if there.content != content:
                    raise Changed(self._named(name)) from None
                return there.etag
            return str(put["e_tag"])

        return self._until_answered("write", name, put)

    def put(self, name: str, content: bytes) -> None:
        """Put an object, over another one if there is one."""
        self._until_answered(
            "write",
            name,
            lambda: obstore.put(self._store, self._key(name), content, mode="overwrite", use_multipart=False),
        )

    def delete(self, name: str) -> None:
        """Remove an object, if it is there."""
        with self._telling("delete", name):
            obstore.delete(self._store, self._key(name))

    def names(self, prefix: str = "") -> list[str]:
        """Names of all objects in a folder and in the folders below it, without the folder, sorted."""
        key = self._key(prefix)
        with self._telling("list", prefix):
            found = [str(item["path"]) for batch in obstore.list(self._store, prefix=key) for item in batch]
        return sorted(name.removeprefix(f"{key}/") for name in found)

    def folders(self) -> list[str]:
        """Names of the folders directly here, sorted."""
        with self._telling("list", ""):
            found = obstore.list_with_delimiter(self._store, prefix=self._key(""))["common_prefixes"]
        return sorted(str(name).rstrip("/").rpartition("/")[2] for name in found)

    def _key(self, name: str) -> str:
        return (self.url / name).key

    def _named(self, name: str) -> str:
        return str(self.url / name)

    def _until_answered(self, verb: str, name: str, request: Callable[[], T]) -> T:
        """Repeat a request that may be repeated, though obstore does not know that it may."""
        for attempt in range(ATTEMPTS):
            with self._telling(verb, name):
                try:
                    return request()
                except GenericError:
                    if attempt == ATTEMPTS - 1:
                        raise
                except FileNotFoundError:
                    raise self._failed(verb, name, "there is no such bucket") from None
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
