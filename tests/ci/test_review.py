"""Parts of the comment on a pull request that no small project shows."""

import pytest
from review import comment, findings, lock, markdown, stale, systems
from review.history import Change


def of_system(old, new):
    return {
        "n_test": Change(10, 10),
        "test.knn.balanced_accuracy": Change(old, new),
        "val.knn.balanced_accuracy": Change(old, new),
        "test.head.auroc": Change(0.5, 0.6),
        "test.knn.auroc": Change(0.5, 0.6),
    }


def test_the_largest_change_comes_first_and_a_new_system_before_it():
    changes = {"a": (0.5, 0.6), "b": (0.5, 0.1), "new": (None, 0.5), "same": (0.5, 0.5)}
    metrics = {f"metrics/systems/{name}.json": of_system(*each) for name, each in changes.items()}
    assert [each.name for each in systems.changed(metrics)] == ["new", "b", "a", "same"]


def test_metrics_are_sorted_by_split_then_model_then_importance():
    found = systems.changed({"metrics/systems/a.json": of_system(0.5, 0.6)})[0]
    assert list(found.changed) == [
        "test.knn.balanced_accuracy",
        "test.knn.auroc",
        "test.head.auroc",
        "val.knn.balanced_accuracy",
    ]


def test_a_value_can_end_no_cell_and_call_nobody():
    assert markdown.code("a|b\n`c`") == "`a\\|b 'c'`"
    assert markdown.plain("<b>@someone | x") == "&lt;b>@\u200bsomeone \\| x"
    assert len(markdown.code("x" * 500)) == markdown.LONGEST + 2


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (0.5, 0.75, "0.500 → 0.750 (+0.250)"),
        (0.5, 0.5002, "0.500 → 0.500 (+0.0002)"),
        (10, 12, "10 → 12"),
        (False, True, "no → yes"),
        (None, 0.5, "- → 0.500"),
        (0.5, 0.5, "0.500"),
    ],
)
def test_a_change_is_told_with_its_difference(old, new, told):
    assert markdown.change(Change(old, new)) == told


def test_a_long_table_says_where_the_rest_is():
    rows = [["x"]] * (markdown.MOST_ROWS + 2)
    assert markdown.table(["a"], rows, "`dvc metrics diff`").endswith("\n\nand 2 more: `dvc metrics diff`")


def test_a_comment_that_is_too_long_for_github_loses_its_last_parts():
    told = comment.fitted(["first", "x" * comment.MOST_CHARACTERS], "c0ffee")
    assert told.startswith("first\n\nThe rest is too long") and len(told) < 200


STAGES = """stages:
  train: {cmd: t, deps: [{path: code, md5: 1}], outs: [{path: models/a, md5: 2}]}
  report: {cmd: r, deps: [{path: models, md5: 3}], outs: [{path: metrics/systems/a.json, md5: 4}]}
  gone: {cmd: g, deps: [{path: models/a, md5: 9}], outs: [{path: metrics/systems/b.json, md5: 5}]}
"""


def test_a_stage_that_reads_a_folder_comes_after_those_that_write_into_it():
    assert set(lock.Lock(STAGES).after(["train"])) == {"train", "report", "gone"}


def test_the_lock_of_a_row_that_is_gone_is_not_judged():
    late = stale.find({}, lock.Lock(STAGES, {"train", "report"}), set())
    assert not late.causes
    assert stale.find({}, lock.Lock(STAGES), set()).causes == {"gone": ("models/a",)}


def test_a_stage_that_never_ran_is_named_with_outputs_in_the_cache_left_aside():
    said = {
        "new": [{"changed deps": {"code": "modified"}}],
        "train": [{"changed outs": {"models/a": "deleted"}}, {"changed deps": {"code": "deleted"}}],
    }
    late = stale.find(said, lock.Lock(STAGES, {"train", "report"}), {"code/a.py", "models/.gitignore"})
    assert late.causes == {"new": (stale.NEVER,), "train": ("code",)}
    assert late.metrics == ("metrics/systems/a.json",) and late.are_all


def test_metrics_of_real_images_are_not_compared_with_those_of_phantoms():
    metrics = {"metrics/systems/a.json": {"source": Change("phantom", "remote")}}
    told = list(findings.incomparable(lock.Lock(None), lock.Lock(None), metrics))
    assert told == ["**Other images**: `a` was measured on `phantom` and is now on `remote`."]


def test_metrics_that_changed_with_the_libraries_have_a_cause():
    metrics = {"metrics/systems/a.json": of_system(0.5, 0.6)}
    recorded = lock.Lock(STAGES)
    assert list(findings.unexplained(recorded, recorded, metrics, set()))
    assert not list(findings.unexplained(recorded, recorded, metrics, {"requirements.txt"}))
