"""A server on this machine and a home without credentials, for tests of fetching."""

import loopback
import pytest
from fetching import CREDENTIALS, LUNGS, TOKEN

from oncovec.core import params, paths
from oncovec.data import download
from oncovec.data.download import transfer
from oncovec.data.tree import Folder


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty home and checkout, and no credentials."""
    for variable in CREDENTIALS:
        monkeypatch.delenv(variable, raising=False)
    (tmp_path / "checkout").mkdir()
    monkeypatch.chdir(tmp_path / "checkout")
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def waits(monkeypatch):
    """Seconds that would have been waited for between attempts."""
    found = []
    monkeypatch.setattr(transfer, "pause", found.append)
    return found


@pytest.fixture
def remote(served, home, waits, monkeypatch):
    """The server, which the environment names."""
    with loopback.Server(token=TOKEN, **served) as found:
        monkeypatch.setenv("ONCOVEC_KAGGLE_URL", found.url)
        monkeypatch.setenv("ONCOVEC_ISIC_URL", found.url)
        monkeypatch.setenv("KAGGLE_API_TOKEN", TOKEN)
        monkeypatch.setenv("ONCOVEC_TIMEOUT", "5")
        yield found


@pytest.fixture
def fetch(changed):
    """Fetch a row of downloads as its stage would, by default one with the lungs alone; its files."""

    def fetch(name="multi_organ", changes=None):
        changes = {"data.source": "remote", "downloads.multi_organ.kaggle": [LUNGS]} | (changes or {})
        download.fetch(name, params.load(changed(changes)).downloads[name], paths.raw(name))
        return Folder(paths.raw(name))

    return fetch


@pytest.fixture(scope="session")
def lungs(published):
    """Path and content of every file of the lung dataset."""
    tree = Folder(published / "multi_organ")
    return {path: tree.read(path) for path in tree.paths() if path.startswith("adityamahimkar/")}
