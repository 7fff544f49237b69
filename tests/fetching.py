"""What tests of fetching share: the names they ask for, and what is left afterwards."""

from pathlib import Path

import pytest

from oncovec.core import paths
from oncovec.core.errors import OncovecError

TOKEN = "KGAT_not_to_be_seen_4711"
LUNGS = "adityamahimkar/iqothnccd-lung-cancer-dataset/2"
PATCHES = "histopathologic-cancer-detection"
ARCHIVE = f"kaggle/datasets/{LUNGS}/iqothnccd-lung-cancer-dataset.zip"
CREDENTIALS = ("KAGGLE_API_TOKEN", "KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_CONFIG_DIR", "XDG_CONFIG_HOME")
GOOD = {ARCHIVE, f"{ARCHIVE}.json"}
PART = {f"{ARCHIVE}.part", f"{ARCHIVE}.part.json"}


def refused(function, *arguments, **more) -> str:
    """Call what must fail with one line that tells no token; return the line."""
    with pytest.raises(OncovecError) as caught:
        function(*arguments, **more)
    assert "\n" not in str(caught.value)
    assert TOKEN not in str(caught.value)
    return str(caught.value)


def content(tree) -> dict[str, bytes]:
    """Path and content of every file."""
    return {path: tree.read(path) for path in tree.paths()}


def left() -> set[str]:
    """Files in the folder of archives, without locks and attributions."""
    found = {path.relative_to(paths.ARCHIVES).as_posix() for path in archives()}
    return {name for name in found if not name.endswith((".lock", "ATTRIBUTION.txt"))}


def archives() -> list[Path]:
    """All files in the folder of archives."""
    return [path for path in paths.ARCHIVES.rglob("*") if path.is_file()]
