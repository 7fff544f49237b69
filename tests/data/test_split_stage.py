"""The stage `split`, on a small dataset whose groups are given."""

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from oncovec.core import files, params, paths, tables
from oncovec.core.errors import OncovecError
from oncovec.data import groups, prepare, splitting
from stages import split as stage

PAIRS = ("first", "second", "similarity", "inliers", "correlation")
HEADER = ("image", "organ", "kind", "group", "width", "height", "mode", "sha256")


@pytest.fixture
def zoo(tmp_path, monkeypatch, repository):
    """Forty images, some of them duplicates; returns all that the stage may read of the params."""
    monkeypatch.chdir(tmp_path)
    rows = [
        (
            f"{n:02d}.png",
            "lung" if n % 2 else "skin",
            "xy"[n // 2 % 2],
            f"patient {n // 2}",
            8,
            8,
            "RGB",
            n % 39,
        )
        for n in range(40)
    ]
    folder = paths.prepared("zoo")
    folder.mkdir(parents=True)
    tables.write(paths.index("zoo"), tables.of(HEADER, rows))
    np.save(paths.images("zoo"), np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3), np.uint8))
    prepare.write_facts(folder, {"source": "local", "images": 40, "image_size": 8, "resize": "keep"})
    paths.groups("zoo").mkdir(parents=True)
    table = tables.read(paths.index("zoo"))
    near = [("04.png", "08.png")]
    duplicates = groups.join(table, groups.COPY_KEYS, near)
    groups.write(groups.join(table, pairs=near), duplicates, paths.group_table("zoo"))
    tables.write(paths.pair_table("zoo"), tables.of(PAIRS, [(*near[0], 0.9, 40, 0.95)]))
    content = params.load(repository / "params.yaml")
    row = content.datasets["multi_organ"].model_copy(update={"layout": "csv", "stratify": ("organ",)})
    return SimpleNamespace(datasets={"zoo": row}, split=content.split)


def test_it_reads_no_more_than_the_dataset_and_split_and_writes_table_counts_and_picture(zoo, capsys):
    stage.main("zoo", zoo)
    rows = splitting.read(paths.split("zoo")).to_dict("records")
    assert len(rows) == 38  # 00.png and 39.png are one, of two organs
    assert {row["split"] for row in rows} == {"train", "val", "test"}
    counts = files.read_json(paths.split_metrics("zoo"))
    assert list(counts) == [
        *("strategy", "images", "groups", "largest_group", "left_out", "train", "val", "test"),
        *("deviation", "audit"),
    ]
    assert counts["left_out"] == {"two_labels": 2, "unlabelled": 0}
    assert list(counts["deviation"]) == ["organ"]
    audit = counts["audit"]
    assert audit["images"] == 40
    assert audit["two_labels"]["organ"]["exact_duplicate"]["images"] == 2
    assert audit["test"]["any"]["images"] == audit["test"]["in_val"]["any"]["images"] == 0
    assert list(audit["test"]["any_by_class"]) == ["organ", "kind"]
    with Image.open(paths.picture("audit", "zoo")) as sheet:
        assert sheet.height > 150
    assert capsys.readouterr().out.startswith(
        "split@zoo: 0 images of val and test have something of theirs in train, 0 of test in val\n"
    )


def test_near_duplicates_and_patients_stay_together(zoo):
    stage.main("zoo", zoo)
    split = {row["image"]: row["split"] for row in splitting.read(paths.split("zoo")).to_dict("records")}
    assert split["04.png"] == split["08.png"] == split["05.png"] == split["09.png"]


def test_the_same_seed_gives_the_same_bytes(zoo):
    written = []
    for _ in range(2):
        stage.main("zoo", zoo)
        found = (paths.split("zoo"), paths.split_metrics("zoo"), paths.picture("audit", "zoo"))
        written.append([path.read_bytes() for path in found])
    assert written[0] == written[1]


def test_a_leaky_strategy_is_seen_in_the_audit_and_said(zoo, capsys):
    zoo.split = zoo.split.model_copy(update={"strategy": "random"})
    stage.main("zoo", zoo)
    counts = files.read_json(paths.split_metrics("zoo"))
    assert counts["test"]["leaked"]["images"] == counts["audit"]["test"]["any"]["images"] > 0
    assert "split@zoo: strategy random:" in capsys.readouterr().out


def test_a_group_table_of_another_index_is_refused_and_writes_nothing(zoo):
    tables.write(paths.group_table("zoo"), tables.of(groups.COLUMNS, [("x.png", "x.png", "x.png")]))
    with pytest.raises(OncovecError, match=r"groups.csv does not belong to"):
        stage.main("zoo", zoo)
    assert not paths.split("zoo").exists()
