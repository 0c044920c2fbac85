"""What lies in deploy/ is sound: schemas, commands, closed by default, memory and time that add up."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

import check_jsonschema
import jsonschema
import pytest
import yaml
from dask.utils import parse_bytes, parse_timedelta
from distributed.worker_memory import parse_memory_limit
from packaging.requirements import Requirement

import dgmmis
from deployments import (
    COMPOSE,
    DEPLOY,
    LASTING,
    ROOT,
    SERVICES,
    USER,
    Here,
    manifests,
    parse,
    pods,
)
from dgmmis.cluster.access import Access
from dgmmis.cluster.configuration import PROXY, SETTINGS

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
MEBIBYTE = 2**20
SCRIPTS = [DEPLOY / "certificates.sh", DEPLOY / "slurm" / "serve.sbatch"]


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Here:
    """Folders in which the files lie that commands name."""
    one = Here(tmp_path_factory.mktemp("here"))
    for name in ("ca.pem", "cert.pem", "key.pem"):
        (one.folder / "certificates" / name).touch(mode=0o600)
    return one


def tool(name: str) -> str:
    """A linter that is installed beside this Python."""
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    assert found, f"{name} is not installed: pip install -e '.[dev]'"
    return found


def lint(*words: object) -> str:
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, timeout=60, check=False)
    return done.stdout + done.stderr if done.returncode else ""


def plain(value: str) -> str:
    """Fill in the default of a variable of the compose file."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value)


def environment_of_image() -> dict[str, str]:
    block = re.search(r"^ENV (PATH=.*?)\nUSER", DOCKERFILE, re.M | re.S)[1].replace("\\\n", " ")
    return dict(word.split("=", 1) for word in block.split())


def commands() -> list[tuple[str, list[str]]]:
    found = [(f"compose {name}", each["command"]) for name, each in SERVICES.items()]
    found += [(f"kubernetes {name}", pod["containers"][0]["args"]) for name, pod in pods()]
    words = re.search(r"^CMD (\[.*\])$", DOCKERFILE.split("AS base")[1], re.M)[1]
    return [*found, ("image", json.loads(words))]


COMMANDS = [(name, words) for name, words in commands() if words[0] in ("dask", "dgmmis")]


def test_the_compose_file_obeys_the_schema_of_its_specification() -> None:
    schema = files(check_jsonschema) / "builtin_schemas" / "vendor" / "compose-spec.json"
    jsonschema.validate(COMPOSE, json.loads(schema.read_text()))


@pytest.mark.parametrize(("name", "words"), COMMANDS, ids=[name for name, _ in COMMANDS])
def test_every_command_is_understood_by_the_program_it_starts(
    name: str, words: list[str], here: Here
) -> None:
    assert parse([words[0], words[1], *map(here.word, words[2:])])
    with pytest.raises(Exception, match=r"No such option|unexpected extra"):
        parse([words[0], words[1], *map(here.word, words[2:]), "--no-such-option", "1"])


def test_every_command_that_the_page_gives_inside_a_container_is_understood() -> None:
    page = (DEPLOY / "README.md").read_text().replace("\\\n", " ")
    inside = re.findall(r"(?:^stack run .*?\btool|^kubectl exec .*? -- dgmmis) (.*?)(?:  # .*)?$", page, re.M)
    assert len(inside) >= 6
    for line in inside:
        assert parse(["dgmmis", *shlex.split(line)]), line


def test_the_workers_of_slurm_are_started_with_options_that_exist() -> None:
    queue = yaml.safe_load((DEPLOY / "slurm" / "jobqueue.yaml").read_text())["jobqueue"]["slurm"]
    assert parse(["dask", "worker", "tls://127.0.0.1:8786", *queue["worker-extra-args"]])


def test_no_service_is_reachable_from_another_machine() -> None:
    published = [port for each in SERVICES.values() for port in each.get("ports", [])]
    assert len(published) == 2
    assert all(port.startswith("127.0.0.1:") for port in published)
    assert COMPOSE["networks"]["cluster"]["internal"]
    for name in ("dashboard", "notebook"):
        assert SERVICES[name]["networks"] == ["front"], "who can be reached is not where the cluster is"
    kinds = [(each["kind"], each["spec"].get("type")) for _, each in manifests() if "spec" in each]
    assert not {"Ingress", "Service"} & {kind for kind, _ in kinds}
    assert ("NetworkPolicy", None) in kinds


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_closed_and_bounded(name: str) -> None:
    each = SERVICES[name]
    assert each["user"] == f"{USER}:{USER}"
    assert each["read_only"]
    assert each["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in each["security_opt"]
    assert not {"privileged", "pid", "ipc", "devices", "cap_add", "extra_hosts"} & set(each)
    assert all(re.match(r"(data|cache|certificates):/", volume) for volume in each["volumes"])
    assert parse_bytes(plain(each["mem_limit"]).replace("g", "GiB").replace("m", "MiB")) >= 256 * MEBIBYTE
    written = {volume.split(":")[1] for volume in each["volumes"] if not volume.endswith(":ro")}
    assert written <= {"/data", "/cache", "/certificates"}
    if name in LASTING:
        assert each["restart"] == "unless-stopped"
        assert each["healthcheck"]["test"][:3] == ["CMD", "python", "/opt/deploy/health.py"]
        assert each["healthcheck"]["test"][3] == name
    else:
        assert each["restart"] == "no"


def test_the_cluster_talks_tls_only_and_its_keys_are_where_they_are_needed() -> None:
    for name in ("scheduler", "worker", "serve"):
        words = SERVICES[name]["command"]
        assert not any("tcp://" in word or "insecure" in word for word in words)
        assert "/certificates/key.pem" in words
        assert "certificates:/certificates:ro" in SERVICES[name]["volumes"]
    for name in ("dashboard", "notebook"):
        assert not any("certificates" in volume for volume in SERVICES[name]["volumes"])
    with pytest.raises(dgmmis.errors.InsecureCluster):
        Access().security("tcp://scheduler:8786")


def test_the_notebook_asks_for_a_token() -> None:
    """An empty one would ask for none: the variable is passed on if it is set, and has no value here."""
    assert SERVICES["notebook"]["environment"]["JUPYTER_TOKEN"] is None
    text = " ".join(SERVICES["notebook"]["command"])
    assert not re.search(r"token|password|disable_check_xsrf|allow_origin", text, re.I)


@pytest.mark.parametrize("share", ["0.8"])
def test_a_worker_plans_with_less_than_its_container_has(share: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dask sees the container's limit and takes the share of it: there is one number to set."""
    limit = 2 * 1024 * MEBIBYTE
    monkeypatch.setattr("distributed.system.MEMORY_LIMIT", limit)
    for words in (SERVICES["worker"]["command"], dict(pods())["worker"]["containers"][0]["args"]):
        assert words[words.index("--memory-limit") + 1] == share
        assert words[words.index("--nthreads") + 1] == "1"
    planned = parse_memory_limit(share, 1, 8, logger=None)
    assert planned == int(0.8 * limit)
    assert limit - planned >= 400 * MEBIBYTE, "the nanny needs room"


def test_the_image_runs_as_nobody_in_particular_and_writes_only_where_it_may() -> None:
    stages = re.split(r"^FROM ", DOCKERFILE, flags=re.M)[1:]
    base = next(stage for stage in stages if " AS base\n" in stage)
    assert re.search(rf"^USER {USER}:{USER}$", base, re.M)
    assert "HEALTHCHECK" in base
    assert base.count("org.opencontainers.image.") >= 5
    assert stages[-1].startswith("base AS runtime"), "the small one is what is built by default"
    variables = environment_of_image()
    for name in ("NUMBA_CACHE_DIR", "MPLCONFIGDIR", "XDG_STATE_HOME"):
        assert variables[name].startswith(("/cache/", "/data/"))
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text().split()
    copied = {
        word for line in re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.M) for word in line.split()
    }
    assert copied == {line[1:] for line in ignored if line.startswith("!")}
    assert all((ROOT / name).exists() for name in copied)
    extras = re.search(r"^ARG EXTRAS=(.*)$", DOCKERFILE, re.M)[1].split(",")
    assert set(extras) <= set(PROJECT["optional-dependencies"])


def test_the_constraints_give_a_version_of_everything_that_is_asked_for_and_no_address() -> None:
    lines = [
        line for line in (DEPLOY / "constraints.txt").read_text().splitlines() if not line.startswith("#")
    ]
    pinned = {}
    for line in lines:
        found = Requirement(line)
        assert found.url is None
        assert re.fullmatch(r"==[^,*]+", str(found.specifier)), line
        pinned[found.name.lower().replace("_", "-")] = str(found.specifier)[2:]
    wished = list(PROJECT["dependencies"])
    for extra in ("readers", "report", "s3", "sklearn", "notebook", "dashboard"):
        wished += PROJECT["optional-dependencies"].get(extra, [])
    for text in wished:
        requirement = Requirement(text)
        assert requirement.specifier.contains(pinned[requirement.name.lower()]), (
            f"{text} is not among the constraints"
        )
    assert "jupyterlab" in pinned


def test_the_version_of_the_image_is_that_of_the_package() -> None:
    tags = {each["image"].split(":")[1] for each in SERVICES.values()}
    tags |= {pod["containers"][0]["image"].split(":")[1] for _, pod in pods()}
    tags |= {re.search(r"^ARG VERSION=(.*)$", DOCKERFILE, re.M)[1]}
    assert tags == {PROJECT["version"]} == {version("dgmmis")}


def test_the_linters_of_dockerfiles_and_shells_find_nothing() -> None:
    assert not lint(tool("hadolint"), DEPLOY / "Dockerfile")
    assert not lint(tool("shellcheck"), *SCRIPTS)
    for script in SCRIPTS:
        assert not lint("bash", "-n", script)


def test_the_dask_settings_of_the_image_are_those_that_we_set_ourselves() -> None:
    text = yaml.safe_load((DEPLOY / "dask.yaml").read_text())

    def at(name: str) -> object:
        found = text
        for part in name.split("."):
            found = found[part]
        return found

    assert {name: at(name) for name in SETTINGS} == SETTINGS
    assert at("distributed.comm.require-encryption") is True
    routes = at("distributed.scheduler.http.routes")
    assert PROXY not in routes
    assert "distributed.http.health" in routes


def test_the_script_for_certificates_does_what_the_page_says() -> None:
    """The page has the commands for a cluster of machines, the script those for a stack: they are the same."""

    def openssl(text: str) -> list[str]:
        joined = text.replace("\\\n", " ")
        found = [" ".join(line.split()) for line in joined.splitlines() if line.startswith("openssl ")]
        return [line.replace('"$days"', "30") for line in found]

    script = openssl((DEPLOY / "certificates.sh").read_text())
    assert len(script) == 3
    assert script == openssl((DEPLOY / "README.md").read_text())


def test_no_worker_of_slurm_lives_as_long_as_its_job() -> None:
    queue = yaml.safe_load((DEPLOY / "slurm" / "jobqueue.yaml").read_text())["jobqueue"]["slurm"]
    extra = queue["worker-extra-args"]
    hours, minutes, seconds = map(int, queue["walltime"].split(":"))
    lifetime, stagger = (
        parse_timedelta(extra[extra.index(name) + 1]) for name in ("--lifetime", "--lifetime-stagger")
    )
    assert lifetime + stagger + 240 <= 3600 * hours + 60 * minutes + seconds
    assert stagger > 0
    assert parse_bytes(queue["job-mem"].replace("M", "MiB")) - parse_bytes(queue["memory"]) >= 400 * MEBIBYTE


def test_the_server_of_slurm_is_told_in_time_and_queues_itself_again() -> None:
    text = (DEPLOY / "slurm" / "serve.sbatch").read_text()
    warning = int(re.search(r"--signal=B:USR1@(\d+)", text)[1])
    assert warning >= 60, "a server may take that long to stop"
    assert "#SBATCH --requeue" in text
    assert f"cluster_lost={dgmmis.errors.ClusterLost.exit_code}\n" in text
