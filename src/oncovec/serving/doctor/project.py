"""Checks of the checkout: params.yaml, roots, room on the disk, credentials, weights, git and DVC."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

from oncovec.core import paths, rows
from oncovec.core.datasets import Dataset
from oncovec.core.params import Params
from oncovec.core.recipes import OWN_BACKBONES
from oncovec.data import roots, small_copies
from oncovec.data.tree import Folder
from oncovec.evaluation import revisions
from oncovec.serving.doctor.check import MISSING, NOTE, OK, Found

TIMEOUT = 5
"""Seconds that an MLflow server has to answer."""


def params(content: Params) -> Found:
    """Refuse what the stage `check` refuses."""
    from oncovec.learning import vocabulary

    rows.refuse_left_over(content)
    roots.check_roots(content)
    vocabulary.check_backbones(content)
    vocabulary.check_weights(content)
    vocabulary.check_mlflow(content)
    return (
        OK,
        f"{len(content.systems)} systems, {len(content.datasets)} datasets: nothing that `check` refuses",
    )


def images(content: Params) -> Found:
    """Tell which roots are there, and which `dvc repro` makes; those that are missing, `check` refuses."""
    every = [each.root for each in content.datasets.values()]
    every += [each.root for each in content.external.values()]
    own = [root for root in every if roots.download_of(root) is None]
    made = list(dict.fromkeys(roots.download_of(root) or "" for root in every if root not in own))
    waiting = [name for name in made if not paths.raw(name).is_dir()]
    told = [f"{len(own)} roots of your own"] if own else []
    if there := len(made) - len(waiting):
        told.append(f"{there} in {paths.RAW}")
    for what, fetched in (("draws", False), ("fetches", True)):
        names = [name for name in waiting if roots.is_fetched(content, name) is fetched]
        if names:
            told.append(f"`dvc repro` {what} {', '.join(names)}")
    return OK, "; ".join(told)


def disk(content: Params) -> Found:
    """Compare the free space with what the stored images of the roots that are there take at most."""
    free = shutil.disk_usage(Path()).free
    needed = sum(_stored(name, row) for name, row in content.datasets.items())
    unknown = [name for name, row in content.datasets.items() if not Path(row.root).is_dir()]
    told = f"{_gb(free)} free"
    if needed:
        told += f"; stored images take at most {_gb(needed)} more"
    if unknown:
        told += f"; not known before they are there: {', '.join(unknown)}"
    return (MISSING, f"{told}; `dvc cache dir` moves the cache") if needed > free else (OK, told)


def _stored(name: str, row: Dataset) -> int:
    """Return the bytes that a dataset's array and small copies will take if each file is an image."""
    if paths.images(name).is_file() or not Path(row.root).is_dir():
        return 0
    files = sum(1 for _ in chain.from_iterable(Folder(Path(row.root)).walk()))
    return files * (row.image_size**2 * 3 + small_copies.SIDE**2)


def _gb(count: float) -> str:
    return f"{count / 1e9:.1f} GB"


def credentials(content: Params) -> Found:
    """Look for Kaggle's credentials, if something is still to be fetched from Kaggle; they are not shown."""
    from oncovec.data.download import kaggle

    waiting = [
        name
        for name, row in content.downloads.items()
        if (row.kaggle or row.competition)
        and roots.is_fetched(content, name)
        and not paths.raw(name).is_dir()
    ]
    place = kaggle.credentials()
    found = f"credentials in {place}, not tried" if place else "no credentials"
    if not waiting:
        return OK, f"{found}; not needed, since nothing is to be fetched"
    return (OK, f"{found}, for {', '.join(waiting)}") if place else (MISSING, kaggle.NO_CREDENTIALS)


def weights(content: Params) -> Found:
    """Look for the ImageNet weights of the rows that start from them."""
    from oncovec.learning import weights as files

    wanted = sorted(
        {
            row.backbone
            for row in content.systems.values()
            if row.weights == "imagenet" and row.backbone not in OWN_BACKBONES
        }
    )
    absent = [name for name in wanted if files.on_disk(name) is None]
    if absent:
        return NOTE, f"`dvc repro` fetches those of {', '.join(absent)} from the hub, which needs the network"
    return OK, f"on disk: {', '.join(wanted)}" if wanted else "no row starts from them"


def mlflow(content: Params) -> Found:
    """Ask the MLflow server that params.yaml names, if it names one, whether it is there."""
    import requests

    if content.mlflow is None:
        return OK, "no server is named"
    try:
        answer = requests.get(f"{content.mlflow.rstrip('/')}/health", timeout=TIMEOUT)
    except requests.RequestException:
        return NOTE, f"{content.mlflow} does not answer; trainings go on without it"
    told = f"{content.mlflow} answers"
    return (OK, told) if answer.ok else (NOTE, f"{told} with status {answer.status_code}")


def git() -> Found:
    """Look for git and the history that DVC needs."""
    if shutil.which("git") is None:
        return MISSING, "no git on the PATH; install it"
    with _dvc() as repo:
        commit, dirty = repo.scm.get_rev()[:7], repo.scm.is_dirty()
    return OK, f"commit {commit}" + (", and changes that are not committed" if dirty else "")


def dvc() -> Found:
    """Tell the remote, and the experiments that wait in the queue."""
    with _dvc() as repo:
        name = repo.config["core"].get("remote")
        queued = len(list(repo.experiments.celery_queue.iter_queued()))
    what = "queued run waits" if queued == 1 else "queued runs wait"
    waiting = f"; {queued} {what}: `dvc queue start`" if queued else "; no queued run"
    if name is None:
        return NOTE, f"no remote, so that outputs are on this disk alone: `dvc remote add -d`{waiting}"
    return OK, f"remote {name}{waiting}"


@contextmanager
def _dvc() -> Iterator[Any]:
    with revisions.told("DVC cannot read this checkout"):
        from dvc.repo import Repo

        with Repo() as repo:
            repo.scm.get_rev()  # fails where there is no history
            repo.index.stages  # noqa: B018 - fails if dvc.yaml or dvc.lock is damaged
            yield repo
