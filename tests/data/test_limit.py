import hashlib
from collections import Counter, defaultdict
from dataclasses import replace

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oncovec.data import groups
from oncovec.data import layouts as datasets
from oncovec.data.layouts.listing import Listing, Record
from oncovec.data.limit import LEAST_GROUPS, limit
from oncovec.data.tree import Folder


def listing(records, label_columns=("label",)):
    ordered = sorted(records, key=lambda record: record.image)
    return Listing(ordered, label_columns, 3, ("absent",), {"group": 1}, ("a note",))


def record(number, label, group="", **facts):
    return Record(f"{label}/{number:03d}.png", {"label": label}, group, facts)


def tangled(rows):
    """Groups that span classes, lesions that join groups, and images without either."""
    return listing(
        record(number, label, group, lesion=lesion) for number, (label, group, lesion) in enumerate(rows)
    )


def stacked(sizes):
    """Classes of whole groups: for each class the sizes of its groups."""
    return listing(
        record(1000 * which + number, label, f"{label}{which}")
        for label, groups in sizes.items()
        for which, size in enumerate(groups)
        for number in range(size)
    )


few = st.sampled_from(["", "p", "q", "r", "s", "t", "u"])
mixed = st.lists(st.tuples(st.sampled_from("abc"), few, few), min_size=1, max_size=70).map(tangled)
stacks = st.dictionaries(
    st.sampled_from("abc"), st.lists(st.integers(1, 9), min_size=1, max_size=25), min_size=1
).map(stacked)
listings = st.one_of(mixed, stacks)
mosts = st.integers(1, 60)


def per_class(found):
    return Counter(each.labels[found.label_columns[0]] for each in found.records)


def per_group(found, whole):
    """Images of each class and group; what belongs together is asked of the whole listing."""
    rows = [{**each.facts, "image": each.image, "group": each.group} for each in whole.records]
    group_of = groups.join(pd.DataFrame(rows).fillna(""))
    return Counter((each.labels["label"], group_of[each.image]) for each in found.records)


@given(listings, mosts)
def test_no_class_has_more_than_the_limit(whole, most):
    assert max(per_class(limit(whole, most)).values()) <= most


@given(listings, mosts)
def test_no_class_is_lost(whole, most):
    assert per_class(limit(whole, most)).keys() == per_class(whole).keys()


@given(listings, mosts)
def test_what_is_kept_is_as_it_was_and_sorted(whole, most):
    found = limit(whole, most)
    kept = {each.image for each in found.records}
    assert found.records == [each for each in whole.records if each.image in kept]
    assert replace(found, records=whole.records) == whole


@given(listings, mosts, st.randoms(use_true_random=False))
def test_the_order_of_the_records_does_not_matter(whole, most, random):
    shuffled = replace(whole, records=random.sample(whole.records, len(whole.records)))
    assert limit(shuffled, most) == limit(whole, most)


@given(listings)
def test_no_limit_keeps_all(whole):
    assert limit(whole, None) == whole


@given(listings)
def test_a_limit_of_ten_times_the_largest_class_keeps_all(whole):
    assert limit(whole, LEAST_GROUPS * max(per_class(whole).values())) == whole


@given(listings, mosts)
def test_a_group_of_at_most_a_tenth_is_whole_or_absent_in_a_class(whole, most):
    share = max(1, most // LEAST_GROUPS)
    kept = per_group(limit(whole, most), whole)
    for key, size in per_group(whole, whole).items():
        if size <= share:
            assert kept[key] in (0, size)
        else:
            assert kept[key] <= share


@given(listings, mosts)
def test_what_is_absent_did_not_fit(whole, most):
    share = max(1, most // LEAST_GROUPS)
    found = limit(whole, most)
    taken, kept = per_class(found), per_group(found, whole)
    for (label, group), size in per_group(whole, whole).items():
        if not kept[label, group]:
            left = most - taken[label]
            assert left < size if size <= share else left == 0


@given(listings, mosts)
def test_ten_groups_of_a_class_are_kept_where_there_are_ten(whole, most):
    there, kept = (
        Counter(label for label, _ in per_group(each, whole)) for each in (whole, limit(whole, most))
    )
    for label, count in there.items():
        assert kept[label] >= min(LEAST_GROUPS, most, count)


@given(stacks, mosts)
def test_a_class_does_not_depend_on_the_others(whole, most):
    alone = defaultdict(list)
    for each in whole.records:
        alone[each.labels["label"]].append(each)
    found = [each for records in alone.values() for each in limit(listing(records), most).records]
    assert limit(whole, most).records == sorted(found, key=lambda each: each.image)


@given(st.dictionaries(st.sampled_from("abc"), st.integers(1, 30), min_size=1), mosts)
def test_images_without_groups_are_drawn_by_the_hash_of_their_path(sizes, most):
    whole = listing(record(number, label) for label, size in sizes.items() for number in range(size))
    expected = []
    for label, size in sizes.items():
        images = [f"{label}/{number:03d}.png" for number in range(size)]
        expected += sorted(images, key=lambda image: hashlib.sha256(image.encode()).hexdigest())[:most]
    assert [each.image for each in limit(whole, most).records] == sorted(expected)


@pytest.mark.parametrize(("most", "kept"), [(1, 1), (9, 1), (10, 1), (39, 3), (200, 20), (500, 40)])
def test_a_class_of_one_group_gets_a_tenth_of_the_limit(most, kept):
    assert per_class(limit(stacked({"a": [40], "b": [1]}), most)) == {"a": kept, "b": 1}


@pytest.mark.parametrize("most", [10, 20, 100])
def test_a_class_of_large_groups_is_taken_from_ten_of_them(most):
    whole = stacked({"a": [50] * 30})
    kept = per_group(limit(whole, most), whole)
    assert len([size for size in kept.values() if size == most // LEAST_GROUPS]) == LEAST_GROUPS
    assert sum(kept.values()) == most


def test_a_group_of_two_classes_counts_for_each_by_itself():
    images = [record(number, label, "shared") for label in "ab" for number in range(50)]
    assert per_class(limit(listing(images), 20)) == {"a": 2, "b": 2}


def test_the_first_label_column_is_the_one_that_counts():
    images = [
        Record(f"{number:02d}.png", {"subclass": f"s{number % 4}", "organ": "lung"}) for number in range(40)
    ]
    found = limit(listing(images, ("subclass", "organ")), 3)
    assert per_class(found) == {"s0": 3, "s1": 3, "s2": 3, "s3": 3}


@pytest.mark.parametrize("most", [20, 30, 40])
def test_listed_duplicates_stay_together(most):
    originals = [record(number, "a", duplicate_of="") for number in range(40)]
    copies = [record(number + 100, "a", duplicate_of=f"{number:03d}") for number in range(40)]
    kept = {each.image for each in limit(listing(originals + copies), most).records}
    assert len(kept) == most
    for original, copy in zip(originals, copies, strict=True):
        assert (original.image in kept) == (copy.image in kept)


def test_the_folder_in_which_the_images_lie_does_not_matter(tmp_path):
    found = []
    for root in (tmp_path / "one", tmp_path / "another" / "place"):
        for label in "ab":
            for number in range(30):
                path = root / label / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
        found.append(limit(datasets.read("folders", Folder(root)), 7))
    assert found[0] == found[1]
    assert per_class(found[0]) == {"a": 7, "b": 7}
