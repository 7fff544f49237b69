"""What several test files share. The library under test is this checkout's own, installed or not."""

import signal
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import settings
from PIL import Image

REPOSITORY = Path(__file__).parents[1]
sys.path.insert(0, str(REPOSITORY))

import stages  # noqa: E402, F401 - puts the checkout's src first, as every stage does
from oncovec.core import parallel, params  # noqa: E402

# The same examples on every run, however busy the machine is.
settings.register_profile("oncovec", deadline=None, derandomize=True, database=None)
settings.load_profile("oncovec")

# A shell that runs tests in the background makes them ignore Ctrl-C, and so every command that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items):
    """Begin with the longest files, the tests of the whole pipeline, so that no core waits for them."""
    items.sort(key=lambda item: item.path.parent != Path(__file__).parent)


@pytest.fixture(scope="session", autouse=True)
def one_process():
    """Call the library as on a machine with one core: pytest itself keeps all cores busy.

    Starting a pool of workers takes longer than the work of most tests. Commands that a test types, and tests
    of several workers, have all cores.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parallel, "cpu_count", lambda: 1)
        yield


@pytest.fixture(scope="session")
def repository():
    """Root of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared():
    """Folder of the real images."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no real images in ../shared/data")
    return folder


@pytest.fixture(scope="session")
def picture():
    """Write noise as an image: `picture(path, width, height, seed)`."""

    def write(path, width=8, height=8, seed=0):
        pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
        return path

    return write


@pytest.fixture(scope="session")
def published(tmp_path_factory):
    """A folder with the four datasets, drawn, in their published layouts."""
    from oncovec.data import phantoms
    from oncovec.data.roots import DRAWN

    root = tmp_path_factory.mktemp("published")
    for name in DRAWN:
        phantoms.draw(name, root / name, 100, 24, 0)
    return root


@pytest.fixture(scope="session")
def served(published, tmp_path_factory):
    """What a `loopback.Server` needs to serve them, at the versions that params.yaml asks for."""
    import loopback

    rows = yaml.safe_load((REPOSITORY / "params.yaml").read_text(encoding="utf-8"))["downloads"].values()
    names = [name.split("/") for row in rows for name in row.get("kaggle", [])]
    versions = {(owner, slug): int(version) for owner, slug, version in names}
    found = loopback.published(published, tmp_path_factory.mktemp("zips"))
    kaggle = {(*key[:2], versions[key[:2]]): path for key, path in found["kaggle"].items()}
    return found | {"kaggle": kaggle}


@pytest.fixture(scope="session")
def history(tmp_path_factory):
    """A git+dvc project with branches and experiments; see `history.draw`. Read it, do not change it."""
    import history

    return history.draw(tmp_path_factory.mktemp("history") / "project")


@pytest.fixture(scope="session")
def changed(tmp_path_factory):
    """Write the repository's params.yaml with some keys changed: `changed({"model.margin": 0})`.

    A value of `...` deletes the key. Returns the path.
    """

    def write(changes):
        content = params.read(REPOSITORY / "params.yaml")
        for key, value in changes.items():
            *parents, last = key.split(".")
            section = content
            for parent in parents:
                section = section[parent]
            if value is ...:
                del section[last]
            else:
                section[last] = value
        path = tmp_path_factory.mktemp("params") / "params.yaml"
        path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
        return path

    return write
