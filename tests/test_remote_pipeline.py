"""Fetched datasets as their users type it: DVC, processes of their own, and a server on this machine."""

import json
import os
import signal
import subprocess
import time

import loopback
import pytest
from checkout import clone

TOKEN = "KGAT_not_to_be_seen_either_0815"
PATCHES = "histopathologic-cancer-detection"
ARCHIVE = f"kaggle/competitions/{PATCHES}/{PATCHES}.zip"
FETCHED = ("pcam", "isic2020")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(served):
    with loopback.Server(TOKEN, **served) as running:
        yield running


@pytest.fixture(scope="module")
def checkout(tmp_path_factory, server):
    """A checkout of one system whose datasets are fetched."""
    made = clone(tmp_path_factory.mktemp("checkout"), ["cnn_pcam"], FETCHED)
    made.archives = made.folder / "data" / "archives"
    made.environment |= {
        "HOME": str(tmp_path_factory.mktemp("home")),
        "ONCOVEC_KAGGLE_URL": server.url,
        "ONCOVEC_ISIC_URL": server.url,
        "KAGGLE_API_TOKEN": TOKEN,
    }
    made.edit("params.yaml", "  source: phantom", "  source: remote")
    made.run("git commit -qam remote")
    return made


@pytest.fixture(scope="module")
def fetched(checkout):
    """The checkout after a first run of two datasets up to their tables."""
    checkout.run(f"dvc repro {' '.join(f'preprocess@{name}' for name in FETCHED)}")
    checkout.run("git add -A && git commit -qm fetched")
    return checkout


def test_a_run_that_was_killed_goes_on_where_it_stopped(checkout, server):
    part, blob = checkout.archives / f"{ARCHIVE}.part", loopback.competition_blob(PATCHES)
    total = server.objects[blob].size
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
    assert (checkout.archives / ARCHIVE).read_bytes() == server.objects[blob].source.read_bytes()
    assert not list((checkout.folder / "data" / "raw").glob(".*.part"))


def test_the_index_is_that_of_the_same_files_in_a_folder_of_one_s_own(fetched, published):
    remote = {name: fetched.read(f"data/prepared/{name}/index.csv") for name in FETCHED}
    for name in FETCHED:
        assert '"source": "remote"' in fetched.read(f"metrics/data/{name}.json")
        fetched.edit("params.yaml", f"root: data/raw/{name}", f"root: {published}/{name}")
    fetched.edit("params.yaml", "  source: remote", "  source: phantom")
    fetched.run(f"dvc repro {' '.join(f'preprocess@{name}' for name in FETCHED)}")
    for name in FETCHED:
        assert '"source": "local"' in fetched.read(f"metrics/data/{name}.json")
        assert fetched.read(f"data/prepared/{name}/index.csv") == remote[name]
    fetched.run("git checkout -q .")


def test_another_experiment_makes_no_request(fetched, server):
    seen = len(server.requests)
    output = fetched.run("dvc exp run -S data.limit=20 -S preprocess.resize=squash preprocess@pcam")
    assert fetched.ran(output) == ["check", "preprocess@pcam"]
    assert len(server.requests) == seen
    fetched.run("git checkout -q .")


def test_a_queued_run_that_would_fetch_is_refused_in_one_line(fetched, server):
    seen = len(server.requests)
    output = fetched.run("dvc exp run --temp -S data.limit=30 preprocess@pcam", code=255)
    assert "check: downloads.pcam would be fetched into the copy of the checkout" in output
    assert len(server.requests) == seen


def test_the_token_is_nowhere(fetched, server):
    for secret in (TOKEN, server.signature):
        # grep exits with 1 where it finds nothing
        assert fetched.run(f"grep -rlaF {secret} {fetched.folder}", code=1) == ""
        assert fetched.run(f"git log --all -p | grep -cF {secret}", code=1) == "0\n"


def test_trust_writes_a_manifest_that_the_next_run_holds_to(fetched, server):
    said = fetched.run("oncovec trust pcam")
    assert f"+ {ARCHIVE}: " in said and "manifests/pcam.json: 1 files pinned" in said
    seen = len(server.requests)
    assert "download@pcam" in fetched.ran(fetched.run("dvc repro download@pcam"))
    fetched.run("git add -A && git commit -qm trusted")
    before = fetched.run("find data/raw/pcam -type f | sort | xargs -d '\\n' sha256sum")

    manifest = json.loads(fetched.read("manifests/pcam.json"))
    manifest[ARCHIVE]["sha256"] = "0" * 64
    (fetched.folder / "manifests" / "pcam.json").write_text(json.dumps(manifest))
    output = fetched.run("dvc repro download@pcam", code=255)
    assert "not the pinned file" in output and "oncovec trust" in output
    assert (fetched.archives / ARCHIVE).is_file() and len(server.requests) == seen
    fetched.run("git restore metrics dvc.lock && dvc checkout download@pcam")
    assert fetched.run("find data/raw/pcam -type f | sort | xargs -d '\\n' sha256sum") == before
