"""Whether a run from nothing, on any processor, is what the last commit says; run by `.ci/from_scratch`.

Training takes another path on another processor, so metrics of systems are not compared. Phantoms may differ
there in a last bit, too; their counts, near-duplicates and splits may not.
"""

import sys
from collections.abc import Iterator

from review import findings, history
from review.errors import ReviewError

WRITTEN = ("metrics/", "plots/", "dvc.lock")
"""What a run may change in Git."""

SAME = ("metrics/data/", "metrics/groups/", "metrics/splits/")
"""What has the same bytes on every processor."""


def complaints(checkout: history.Checkout) -> Iterator[str]:
    """Yield a line for each thing that a run from nothing left otherwise than it may."""
    for stage in checkout.status():
        yield f"{stage}: is still out of date after the run"
    told = checkout.git("status", "--porcelain", "-z", "--no-renames", "--untracked-files=all")
    for path in sorted(each[3:] for each in told.split("\0") if each):
        if not path.startswith(WRITTEN):
            yield f"{path}: the run wrote it, outside of {', '.join(WRITTEN)}"
        elif path.startswith(SAME):
            yield f"{path}: differs from the last commit, though no processor may change it"
    for path, keys in checkout.metrics().items():
        for key in findings.LEAKS:
            if path.startswith(findings.SPLITS) and key in keys and keys[key].new:
                yield f"{path}: {keys[key].new} images {findings.LEAKS[key]}"


def main() -> None:
    """Print the complaints; exit with 1 if there are any."""
    try:
        found = list(complaints(history.opened("HEAD")))
    except ReviewError as error:
        found = [str(error)]
    print(
        "\n".join(found) or "from scratch: it runs, nothing leaks, datasets, groups and splits are the same"
    )
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
