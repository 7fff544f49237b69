"""Remote sources as their users type them: DVC, processes of their own, and a server on this machine."""

import json
import os
import shutil
import signal
import subprocess
import time

import loopback
import pytest
from checkout import clone

from oncovec.data import sources

TOKEN = "KGAT_not_to_be_seen_either_0815"
PATCHES = "histopathologic-cancer-detection"
ARCHIVE = f"kaggle/competitions/{PATCHES}/{PATCHES}.zip"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(served):
    with loopback.Server(TOKEN, **served) as running:
        yield running


@pytest.fixture(scope="module")
def checkout(tmp_path_factory, server):
    made = clone(tmp_path_factory.mktemp("checkout"), ["cnn_pcam"])
    home = tmp_path_factory.mktemp("home")
    made.cache = home / "cache"
    made.environment |= {
        "HOME": str(home),
        "ONCOVEC_CACHE": str(made.cache),
        "ONCOVEC_KAGGLE_URL": server.url,
        "ONCOVEC_ISIC_URL": server.url,
        "KAGGLE_API_TOKEN": TOKEN,
    }
    return made


@pytest.fixture(scope="module")
def fetched(checkout):
    """The checkout after a first run on remote images."""
    checkout.run("dvc exp run -S data.source=remote --name first download split@pcam preprocess@pcam")
    return checkout


def test_a_run_that_was_killed_goes_on_where_it_stopped(checkout, server):
    part, total = checkout.cache / f"{ARCHIVE}.part", server.objects[loopback.competition_blob(PATCHES)].size
    checkout.run("dvc repro download@pcam")  # its phantom stages need no second look
    checkout.run("sed -i 's/  source: phantom/  source: remote/' params.yaml && rm -f dvc.lock")
    server.fail("blob", loopback.throttle(total / 4))
    run = subprocess.Popen(
        ["dvc", "repro", "download@pcam"],
        cwd=checkout.folder,
        env=checkout.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    while run.poll() is None and not (part.exists() and part.stat().st_size > total / 4):
        time.sleep(0.01)
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    server.heal()
    kept, seen = part.stat().st_size, len(server.requests)
    checkout.run("dvc repro download@pcam")
    blobs = [request for request in server.requests[seen:] if request.kind == "blob"]
    assert [(request.range, request.sent) for request in blobs] == [(f"bytes={kept}-", total - kept)]
    whole = server.objects[loopback.competition_blob(PATCHES)].source
    assert (checkout.cache / ARCHIVE).read_bytes() == whole.read_bytes()
    checkout.run("git checkout -q params.yaml && rm -f dvc.lock")


def test_a_stage_ends_when_dvc_is_killed(checkout, server):
    checkout.run("sed -i 's/  source: phantom/  source: remote/' params.yaml && rm -f dvc.lock")
    total = server.objects[loopback.competition_blob(PATCHES)].size
    (checkout.cache / ARCHIVE).unlink(missing_ok=True)
    server.fail("blob", loopback.throttle(total / 60))
    # bash gives its place to the command; of other shells the stage would be a grandchild of DVC's.
    environment = checkout.environment | {"SHELL": shutil.which("bash")}
    command = ["dvc", "repro", "download@pcam"]
    run = subprocess.Popen(command, cwd=checkout.folder, env=environment, stdout=subprocess.DEVNULL)
    part = checkout.cache / f"{ARCHIVE}.part"
    while run.poll() is None and not part.exists():
        time.sleep(0.01)
    run.kill()
    run.wait()
    seen = len(server.requests)
    server.heal()
    assert "MB fetched" in checkout.run("dvc repro download@pcam")  # and did not wait a minute for the other
    assert len(server.requests) > seen
    checkout.run("git checkout -q params.yaml && rm -f dvc.lock")


def test_the_index_is_that_of_the_same_files_on_disk(fetched, published):
    for name in sources.PUBLISHED:
        assert '"source": "remote"' in fetched.read(f"metrics/data/{name}.json")
    remote = {name: fetched.read(f"data/index/{name}.csv") for name in sources.PUBLISHED}
    fetched.run(f"dvc exp run -S data.source=local -S data.root={published} download")
    assert {name: fetched.read(f"data/index/{name}.csv") for name in sources.PUBLISHED} == remote


def test_another_experiment_makes_no_request(fetched, server):
    seen = len(server.requests)
    remote = "dvc exp run -S data.source=remote"
    output = fetched.run(f"{remote} -S split.seed=7 download split@pcam")
    assert "split@pcam" in fetched.ran(output)
    fetched.run(f"{remote} -S data.limit=20 -S preprocess.resize=squash preprocess@pcam")
    fetched.run(f"{remote} --temp -S data.limit=30 download@pcam")
    assert len(server.requests) == seen


def test_the_token_is_nowhere(fetched, server):
    for secret in (TOKEN, server.signature):
        for place in (fetched.folder, fetched.cache):
            # grep exits with 1 where it finds nothing
            assert fetched.run(f"grep -rlaF {secret} {place}", code=1) == ""
        assert fetched.run(f"git log --all -p | grep -cF {secret}", code=1) == "0\n"


def test_trust_writes_a_manifest_that_the_next_run_holds_to(fetched, server):
    said = fetched.run("oncovec trust pcam")
    assert f"+ {ARCHIVE}: " in said and "manifests/pcam.json: 1 files pinned" in said
    output = fetched.run("dvc exp run -S data.source=remote download@pcam download@isic2020")
    assert {"source@pcam", "download@pcam"} < set(ran := fetched.ran(output)) and "source@isic2020" not in ran
    manifest = json.loads(fetched.read("manifests/pcam.json"))
    manifest[ARCHIVE]["sha256"] = "0" * 64
    (fetched.folder / "manifests" / "pcam.json").write_text(json.dumps(manifest))
    before = fetched.read("data/index/pcam.csv")
    output = fetched.run("dvc exp run -S data.source=remote download@pcam", code=255)
    assert "not the pinned file" in output and "oncovec trust" in output
    assert not (fetched.cache / ARCHIVE).exists()
    assert fetched.read("data/index/pcam.csv") == before
