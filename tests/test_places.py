"""Names and addresses that others give lead nowhere but where they may, and nothing is opened to find out."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest

import dgmmis
from dgmmis.confinement import confined
from dgmmis.errors import DgmmisError, UnsafePlace
from dgmmis.places import place_of, require_endpoint

heard: list[tuple[str, object]] = []
listening = False


def _hear(event: str, arguments: tuple[object, ...]) -> None:
    if listening and event.startswith(("socket.", "urllib.", "http.")):
        heard.append((event, arguments))


sys.addaudithook(_hear)


@contextmanager
def no_socket() -> Iterator[None]:
    """Fail if a socket is made or a name looked up within."""
    global listening
    heard.clear()
    listening = True
    try:
        yield
    finally:
        listening = False
    assert heard == []


def say(line: str) -> None:
    sys.stdout.write(line + "\n")


STEPS = (
    "..",
    "../..",
    "../../etc/passwd",
    "/etc/passwd",
    "a/../../b",
    "./x",
    "~/x",
    "a/b",
    "..\\..\\b",
    "C:\\x",
    "\\\\host\\x",
)


def hostile_names() -> list[str]:
    """Five hundred names of files that are not where they seem."""
    names = {
        "",
        ".",
        "-rf",
        "_x",
        " x",
        "x ",
        "x\n",
        "\nx",
        "x\x00",
        "X",
        "Ünder",
        "run\u202egnp",
        "a" * 65,
        "a" * 5000,
    }
    for step in STEPS:
        names |= {
            step,
            quote(step),
            quote(step, safe=""),
            quote(quote(step, safe=""), safe=""),
            f"{step}/",
            f"x{step}",
        }
        names |= {
            step.replace(".", "\uff0e"),
            step.replace("/", "\u2215"),
            step.replace("/", "\uff0f"),
            step.encode().hex(":"),
        }
        names |= {
            f"{step}\x00.run",
            f"run\x00{step}",
            f" {step}",
            f"{step} ",
            f"{step}%00",
            f"$({step})",
            f"`{step}`",
        }
        names |= {
            f"file://{step}",
            f"s3://bucket/{step}",
            f"{step};id",
            f"{step}|id",
            f"${{HOME}}{step}",
            f"{step}\r\n",
        }
    names.discard("x..")  # is a name like others
    for device in ("con", "nul", "aux", "com1", "lpt1"):
        names |= {f"{device}:", f"{device}/..", device.upper(), f"{device}::$DATA"}
    characters = (
        "/\\:*?\"<>|\x00\x01\t\n\r ~!@#$%^&()=+[]{};,'`\u00e9\u2028\u200b\ufeff\u0130\u212a\uff0e\U0001f4a9"
    )
    names |= {
        before + c + after for c, before, after in itertools.product(characters, ("", "a"), ("", "a", ".."))
    }
    more = (
        f"{'../' * depth}{name}" for depth in range(1, 40) for name in ("x", "etc", "run.json", "lock", "")
    )
    return sorted(names) + [name for name in more if name not in names]


def test_five_hundred_hostile_names_do_not_leave_their_root(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    root.mkdir()
    names = hostile_names()
    assert len(set(names)) >= 500
    with no_socket():
        for name in names:
            with pytest.raises(UnsafePlace):
                confined(root, name)
    assert list(root.iterdir()) == []
    say(f"{len(names)}/{len(names)} hostile names refused, 0 escapes, 0 sockets")


@pytest.mark.parametrize("name", ["a", "0", "run-1", "k8.full_2", "a..b", "con", "a" * 64])
def test_a_plain_name_lies_in_its_root(tmp_path: Path, name: str) -> None:
    assert confined(tmp_path, name) == tmp_path / name
    assert confined(tmp_path / "not" / "there", name).parent == tmp_path / "not" / "there"


def test_a_link_out_of_the_root_is_refused_and_a_link_to_the_root_is_not(tmp_path: Path) -> None:
    root, elsewhere = tmp_path / "runs", tmp_path / "elsewhere"
    root.mkdir()
    elsewhere.mkdir()
    (root / "run").symlink_to(elsewhere)
    (root / "loop").symlink_to(root / "loop")
    for name in ("run", "loop"):
        with pytest.raises(UnsafePlace, match="symbolic link"):
            confined(root, name)
    (tmp_path / "link").symlink_to(root)
    assert confined(tmp_path / "link", "another") == tmp_path / "link" / "another"


def test_a_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    for name in (None, 3, b"run", Path("run")):
        with pytest.raises(UnsafePlace):
            confined(tmp_path, name)  # type: ignore[arg-type]


URLS = [
    "http://169.254.169.254/latest/meta-data/",
    "https://169.254.169.254/",
    "http://[fd00:ec2::254]/",
    "http://metadata.google.internal/",
    "http://localhost:8787/",
    "http://127.0.0.1/x.zarr",
    "https://example.org/x.zarr",
    "ftp://example.org/x",
    "ftps://example.org/x",
    "sftp://example.org/x",
    "ssh://example.org/x",
    "git://example.org/x",
    "github://org:repo@main/x",
    "gs://bucket/x",
    "gcs://bucket/x",
    "az://container/x",
    "abfs://container@account/x",
    "adl://store/x",
    "hdfs://host/x",
    "webhdfs://host/x",
    "smb://host/share/x",
    "dropbox://x",
    "oci://bucket@namespace/x",
    "hf://datasets/x",
    "jar:file:///x.jar!/y",
    "data:application/json,{}",
    "data://text/plain;base64,AAAA",
    "javascript:alert(1)",
    "gopher://host/_x",
    "dict://host:11211/",
    "ldap://host/x",
    "tar://x::http://example.org/x.tar",
    "zip://x::s3://bucket/x.zip",
    "simplecache::http://example.org/x",
    "filecache::s3://bucket/x",
    "blockcache::https://example.org/x",
    "reference::http://example.org/refs.json",
    "file:///x::http://example.org",
    "s3://bucket/x::simplecache",
    "memory://x",
    "s3://key:secret@bucket/x",
    "s3://bucket@169.254.169.254/x",
    "s3://bucket:443/x",
    "s3://169.254.169.254/x",
    "s3://0xa9fea9fe/x",
    "s3://2852039166/x",
    "s3://[::1]/x",
    "s3://Bucket/x",
    "s3://b/x",
    "s3://bucket",
    "s3:///x",
    "s3://bucket/",
    "s3://bucket/a/../../other/x",
    "s3://bucket/%2e%2e/x",
    "s3://bucket/a//b",
    "s3://bucket/x?endpoint_url=http://169.254.169.254",
    "s3://bucket/x#fragment",
    "s3://bucket/x\r\nHost: other",
    "s3://bucket\\@other/x",
    "s3a://bucket/x",
    "file://host/etc/passwd",
    "file://user@localhost/etc/passwd",
    "file:relative",
    "file:////host/share",
    "FILE+HTTP://example.org/x",
]  # fmt: skip


def test_sixty_hostile_addresses_are_refused_by_everything_that_opens_and_no_socket_is_made(
    tmp_path: Path,
) -> None:
    assert len(set(URLS)) >= 60
    openers = (
        place_of,
        lambda url: dgmmis.open_catalog(Path(url)),
        dgmmis.open_catalog,
        dgmmis.open_run,
        dgmmis.Model.load,
        dgmmis.resume,
        lambda url: dgmmis.fit(url, n_components=1),
        lambda url: dgmmis.ingest(url, tmp_path / "out.zarr", features=["a"]),
        lambda url: dgmmis.ingest(tmp_path / "there.csv", url, features=["a"]),
    )
    (tmp_path / "there.csv").write_text("a\n1\n2\n3\n")
    before = os.getcwd()
    os.chdir(tmp_path)
    try:
        with no_socket():
            for url, opener in itertools.product(URLS, openers):
                with pytest.raises(DgmmisError):
                    opener(url)
    finally:
        os.chdir(before)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["there.csv"]
    say(f"{len(URLS)}/{len(URLS)} addresses refused by {len(openers)} openers, 0 sockets")


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("stars.zarr", ("file", "", "stars.zarr")),
        ("/data/stars.zarr", ("file", "", "/data/stars.zarr")),
        ("file:///data/my%20stars.zarr", ("file", "", "/data/my stars.zarr")),
        ("s3://bucket/a/stars.zarr", ("s3", "bucket", "a/stars.zarr")),
        (Path("s3://bucket/a/stars.zarr"), ("s3", "bucket", "a/stars.zarr")),
        ("s3://my.bucket-1/x/", ("s3", "my.bucket-1", "x")),
    ],
)
def test_local_paths_and_buckets_are_what_they_say(address: str | Path, place: tuple[str, str, str]) -> None:
    found = place_of(address)
    assert (found.scheme, found.bucket, found.path) == place


def test_a_file_whose_name_has_a_colon_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("run:2").touch()
    assert place_of("run:2").scheme == "file"


@pytest.mark.parametrize(
    "url", ["s3://AKIACANARY:hunter2secret@bucket/x", "s3://bucket/x?secret=hunter2secret"]
)
def test_credentials_in_an_address_are_not_repeated(url: str) -> None:
    with pytest.raises(UnsafePlace) as caught:
        place_of(url)
    assert "hunter2secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "https://s3.example.org",
        "https://10.0.0.7:9000",
        "http://127.0.0.1:5000",
        "http://[::1]:5000/",
        "http://localhost:9000",
    ],
)
def test_an_endpoint_is_reached_by_https_or_on_this_machine(url: str) -> None:
    assert require_endpoint(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "http://s3.example.org", "http://169.254.169.254", "https://169.254.169.254", "https://[fe80::1]", "https://0.0.0.0",
        "https://2852039166", "https://0xa9.254.169.254", "https://[::ffff:169.254.169.254]", "https://metadata.google.internal",
        "https://metadata.google.internal.", "https://[fd00:ec2::254]", "https://user:secret@s3.example.org", "https://s3.example.org/x",
        "https://s3.example.org?x=1", "ftp://127.0.0.1", "s3.example.org", "", "https://", "https://h\\@x", "https://h:port",
        "https://h\r\nx",
    ],
)  # fmt: skip
def test_other_endpoints_are_refused(url: str) -> None:
    with no_socket(), pytest.raises(UnsafePlace):
        require_endpoint(url)
