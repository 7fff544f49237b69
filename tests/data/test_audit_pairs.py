import csv

import numpy as np
from PIL import Image
from test_audit import audited

from oncovec.core import palette, sheets
from oncovec.data.audit import pairs

RED, GREEN = (tuple(bytes.fromhex(colour[1:])) for colour in (palette.RED, palette.GREEN))
COLOUR = [(0, 0, 200), (0, 0, 220), (0, 0, 240)]


def told(found):
    return [(pair.first, pair.second, pair.kind, pair.rank) for pair in found]


def test_pairs_come_two_labels_first_then_leaks_then_the_rest():
    split = audited(
        "train cat a A",
        "test  cat b A",
        "test  dog c C",
        "train cat c C",
        "val   cat d D",
        "test  cat e D",
        "train cat f F",
        "train cat f F",
        "val   cat g A",
    )
    confirmed = [(0, 1, 40, 0.9), (0, 8, 90, 0.95), (4, 5, 30, 0.8), (2, 3, 99, 1.0)]
    assert told(pairs.pairs(split, confirmed)) == [
        (2, 3, "exact_duplicate", pairs.TWO_LABELS),
        (8, 0, "near_duplicate", pairs.LEAK),
        (1, 0, "near_duplicate", pairs.LEAK),
        (5, 4, "near_duplicate", pairs.APART),
        (6, 7, "exact_duplicate", pairs.TOGETHER),
    ]


def test_the_order_of_confirmed_pairs_and_of_their_ends_does_not_matter():
    split = audited(*["train cat a A", "test cat b A", "test cat c A", "train cat d A"])
    confirmed = [(0, 1, 40, 0.9), (2, 0, 40, 0.9), (3, 1, 40, 0.5)]
    turned = [(second, first, *how) for first, second, *how in reversed(confirmed)]
    assert pairs.pairs(split, confirmed) == pairs.pairs(split, turned)


def test_of_many_exact_duplicates_there_are_few_pairs_yet_each_image_is_in_one():
    split = audited(*["train cat a A", "test dog a A"] * 500)
    found = pairs.pairs(split, [])
    assert {row for pair in found for row in (pair.first, pair.second)} == set(range(1000))
    assert len(found) < 2000
    assert sum(pair.rank == pairs.TWO_LABELS for pair in found) >= 500


def test_what_is_confirmed_of_one_file_holds_for_its_exact_duplicates():
    split = audited("train cat a A", "train cat b A", "test cat b A", "val cat a A")
    found = [pair for pair in pairs.pairs(split, [(0, 1, 30, 0.9)]) if pair.kind == "near_duplicate"]
    assert {(pair.first, pair.second, pair.rank) for pair in found} == {
        (2, 0, pairs.LEAK),
        (3, 1, pairs.LEAK),
        (2, 3, pairs.APART),
        (0, 1, pairs.TOGETHER),
    }


def test_a_confirmed_pair_that_was_not_joined_is_none():
    assert pairs.pairs(audited("train cat a A", "test cat b B"), [(0, 1, 30, 0.9)]) == []


def test_folds_leak_into_each_other():
    assert told(pairs.pairs(audited("1 cat a A", "2 cat a A"), [])) == [(1, 0, "exact_duplicate", pairs.LEAK)]


def many(split, count, near):
    """That many pairs of train with `split`, each a cluster; near-duplicates from sure to less sure."""
    rows = [f"{s} cat {n}{'' if not near else s} {n}" for n in range(count) for s in ("train", split)]
    split = audited(*rows)
    return split, pairs.pairs(split, [(2 * n, 2 * n + 1, 100 - n, 0.9) for n in range(count)] if near else [])


def test_near_duplicates_are_spread_from_the_surest_to_the_least_sure():
    split, found = many("test", 50, near=True)
    inliers = [pair.inliers for pair in pairs.worst(split, found, 8)]
    assert len(inliers) == 8
    assert inliers == sorted(inliers, reverse=True)
    assert (inliers[0], inliers[-1]) == (100, 51)


def test_exact_duplicates_fill_the_sheet_where_there_is_nothing_else():
    split, found = many("test", 50, near=False)
    assert len(pairs.worst(split, found)) == pairs.MOST


def test_exact_duplicates_leave_three_quarters_to_near_ones():
    rows = [f"{s} cat {n if n < 30 else f'{n}{s}'} {n}" for n in range(60) for s in ("train", "test")]
    split = audited(*rows)
    found = pairs.pairs(split, [(2 * n, 2 * n + 1, 50, 0.9) for n in range(60)])
    kinds = [pair.kind for pair in pairs.worst(split, found, 24)]
    assert (kinds.count("exact_duplicate"), kinds.count("near_duplicate")) == (6, 18)


def test_two_labels_take_half_of_the_sheet_at_most():
    rows = [f"{s} {label} {n} {n}" for n in range(40) for s, label in (("train", "cat"), ("test", "dog"))]
    rows += [f"{s} cat {n} {n}" for n in range(40, 80) for s in ("train", "test")]
    split = audited(*rows)
    ranks = [pair.rank for pair in pairs.worst(split, pairs.pairs(split, []), 10)]
    assert ranks == [pairs.TWO_LABELS] * 5 + [pairs.LEAK] * 5


def test_one_pair_of_a_cluster_is_enough_to_look_at():
    split = audited("train cat a A", *[f"test cat b{n} A" for n in range(9)])
    found = pairs.pairs(split, [(0, n, 20 + n, 0.9) for n in range(1, 10)])
    assert [pair.inliers for pair in pairs.worst(split, found)] == [29]


def test_where_nothing_leaks_the_closest_that_stay_together_are_shown():
    split = audited("train cat a A", "train cat b A", "test cat c C")
    found = pairs.pairs(split, [(0, 1, 30, 0.9)])
    assert pairs.worst(split, found) == found
    assert "no pair in two splits; 1 pair kept together" in pairs._title(split, found, 1)


def test_pairs_that_stay_together_are_not_shown_among_leaks():
    split = audited("train cat a A", "train cat a A", "test cat c C", "train cat c C")
    assert [pair.rank for pair in pairs.worst(split, pairs.pairs(split, []))] == [pairs.LEAK]


def test_a_title_counts_a_pair_with_two_labels_in_two_splits_as_both():
    split = audited("train cat a A", "test dog a A")
    assert pairs._title(split, pairs.pairs(split, []), 1).startswith(
        "1 pair with two labels; 1 pair in two splits"
    )


def colours_of(split, confirmed, tmp_path):
    sheet = pairs.sheet(
        split, pairs.pairs(split, confirmed), lambda row: np.full((8, 8, 3), COLOUR[row], np.uint8)
    )
    sheets.save(sheet, tmp_path / "pairs.png")
    with Image.open(tmp_path / "pairs.png") as image:
        return {colour for _, colour in image.getcolors(1_000_000)}, sheet


def test_a_sheet_shows_both_images_in_red_where_they_leak(tmp_path):
    colours, _ = colours_of(
        audited("train cat a A", "test cat b A", "val cat c C"), [(0, 1, 30, 0.9)], tmp_path
    )
    assert {*COLOUR[:2], RED} <= colours
    assert not {COLOUR[2], GREEN} & colours


def test_a_sheet_shows_what_stays_together_in_green(tmp_path):
    colours, _ = colours_of(
        audited("train cat a A", "train cat b A", "val cat c C"), [(0, 1, 30, 0.9)], tmp_path
    )
    assert GREEN in colours and RED not in colours


def test_a_sheet_without_pairs_says_so(tmp_path):
    colours, sheet = colours_of(audited("train cat a A", "test cat b B"), [], tmp_path)
    assert min(colours) < (50, 50, 50)
    assert sheet.get_figheight() * sheets.DPI < 40


def test_pairs_are_written_with_what_is_known_of_both(tmp_path):
    split = audited("train cat a A", "test dog b A", "test - c C", "train cat c C")
    pairs.write(split, pairs.pairs(split, [(0, 1, 30, 0.9)]), tmp_path / "pairs.csv")
    with (tmp_path / "pairs.csv").open() as stream:
        header, *rows = csv.reader(stream)
    assert tuple(header) == pairs.COLUMNS
    assert rows == [
        ["1.png", "0.png", "test", "train", "dog", "cat", "near_duplicate", "30", "0.9"],
        ["2.png", "3.png", "test", "train", "", "cat", "exact_duplicate", "", ""],
    ]


def test_confirmed_pairs_are_read_as_rows(tmp_path):
    (tmp_path / "pairs.csv").write_text(
        "first,second,similarity,inliers,correlation\n1.png,0.png,0.9,12,0.5\n0.png,x,0.9,9,1\n"
    )
    split = audited("train cat a A", "test cat b A")
    assert pairs.read(tmp_path / "pairs.csv", split) == [(1, 0, 12, 0.5)]
