"""A checkout in which a whole run is there, without DVC: for what reads the run of a checkout."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import tiny
import yaml

from oncovec.core import files, params, paths, rows, tables
from oncovec.data import duplicates, groups, index
from oncovec.evaluation.external import PLOTS
from stages import report, split

EVIL = "# </pre><script>injected=1</script> {{ injected }} &amp;"
"""A comment in params.yaml that tries to break a page."""


def checkout(factory) -> Path:
    """The checkout of `tiny` with groups, split and report by the real stages, and an external test set."""
    folder = tiny.copied(tiny.trained(factory), factory.mktemp("reported"))
    with inside(folder):
        content = params.load()
        _group("squares")
        split.main("squares", content)
        rows.write_systems(content)
        rows.write_external(content)
        report.main(content)
        _write_external()
        _write_lock()
    return folder


@contextmanager
def inside(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def _group(dataset: str) -> None:
    """Groups without a look for near-duplicates: the squares are all alike."""
    table = index.read(paths.index(dataset))
    group_of, duplicates_of = groups.join(table), groups.join(table, groups.COPY_KEYS)
    groups.write(group_of, duplicates_of, paths.group_table(dataset))
    tables.write(paths.pair_table(dataset), tables.of(duplicates.COLUMNS, ()))
    files.write_json(paths.group_metrics(dataset), groups.table(group_of, duplicates_of, 0))


def _write_external() -> None:
    own = {"n": 40, "coverage": 0.75, "wrong_and_answered": 0.25, "auroc": 0.625}
    own["answered"] = {"balanced_accuracy": 0.5, "set_coverage": 0.875, "set_size": 1.5}
    content = {
        "source": "local",
        "left_out": {"two_labels": 3},
        "systems": {"head": own, "nearest": {"n": 0}},
    }
    files.write_json(paths.external_metrics("far"), content)
    told = [("head", "far", "auroc", 0.625, 0.5, 0.7), ("head", "far", "coverage", 0.1, 0.0, 0.2)]
    tables.write(paths.plot("external", "colour"), tables.of(("system", *PLOTS["external"]), told))
    settings = params.read()
    settings["external"] = {
        "far": {"task": "colour", "dataset": "squares", "root": "squares", "layout": "folders"}
    }
    text = yaml.safe_dump(settings, sort_keys=False)
    paths.PARAMS.write_text(f"{text}{EVIL}\n", encoding="utf-8")


def _write_lock() -> None:
    """What DVC records: a stage whose params the page must agree with, one of a removed row, and the last."""
    row = params.read()["systems"]["head"]
    made, last = {"path": "models/head", "md5": "1"}, {"path": str(paths.SUMMARY), "md5": "2"}
    stages = {
        "train@head": {"params": {str(paths.PARAMS): {"systems.head": row}}, "outs": [made]},
        "train@gone": {
            "params": {str(paths.PARAMS): {"systems.gone": row}},
            "outs": [{"path": "models/gone"}],
        },
        "report": {"deps": [{"path": "models", "md5": "3"}], "outs": [last]},
    }
    paths.LOCK.write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}), encoding="utf-8")
