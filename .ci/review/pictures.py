"""Overview pictures before and after, as GitHub shows them or, elsewhere, as files of the checkout."""

from collections.abc import Mapping, Sequence, Set
from pathlib import PurePosixPath
from urllib.parse import quote

from review import markdown
from review.history import Checkout

FOLDER = "plots/overview/"


def address_of(environment: Mapping[str, str]) -> str | None:
    """Return where GitHub has the repository, from the environment of its Actions; None elsewhere."""
    server, name = (environment.get(f"GITHUB_{each}") for each in ("SERVER_URL", "REPOSITORY"))
    return f"{server}/{name}" if server and name else None


def shown(checkout: Checkout, changed: Set[str], first: Sequence[str], address: str | None) -> str:
    """Return a fold per changed picture.

    Args:
        checkout: where they are.
        changed: all changed files.
        first: systems in the order of their pages; others follow by name.
        address: of the repository on GitHub; None for links to the files here, which have no picture before.
    """
    order = {name: place for place, name in enumerate(first)}
    pages = sorted(
        (each for each in changed if each.startswith(FOLDER) and each.endswith(".png")),
        key=lambda each: (order.get(PurePosixPath(each).stem, len(order)), each),
    )
    return "\n".join(
        markdown.fold(PurePosixPath(each).stem, _page(checkout, each, address)) for each in pages
    )


def _page(checkout: Checkout, path: str, address: str | None) -> str:
    head = checkout.git("rev-parse", "HEAD").strip()
    is_here = (checkout.root / path).is_file()
    if address is None:
        return f"![after]({quote(path)})" if is_here else "removed"
    was_there = checkout.git("ls-tree", checkout.base, "--", path)
    cells = [
        f"![{when}]({address}/raw/{commit}/{quote(path)})" if there else markdown.MINUS
        for when, commit, there in (("before", checkout.base, was_there), ("after", head, is_here))
    ]
    return markdown.table(["before", "after"], [cells])
