import json
import socket
import subprocess
import sys

import psutil
import pytest
import yaml

from oncovec.core import params, paths
from oncovec.data.download import kaggle
from oncovec.learning import weights
from oncovec.serving import cli
from oncovec.serving.doctor import check, environment, project

SECRET = "KGAT_0123456789abcdef"


@pytest.fixture
def here(tmp_path, monkeypatch, repository):
    """A checkout without DVC and history, as the working directory."""
    for name in ("params.yaml", "dvc.yaml", "pyproject.toml", "requirements.txt"):
        (tmp_path / name).write_bytes((repository / name).read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home folder without credentials."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    for name in ("KAGGLE_API_TOKEN", "KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_CONFIG_DIR"):
        monkeypatch.delenv(name, raising=False)
    return folder


def changed(here, **sections):
    """The params of a checkout after some keys of its sections were changed."""
    content = params.read(here / "params.yaml")
    for section, keys in sections.items():
        content[section] |= keys
    (here / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return params.load(here / "params.yaml")


def doctor(capsys):
    """Whether the command fails, and its lines by what they are about."""
    failed = cli.app(["doctor"], standalone_mode=False)
    *lines, last = capsys.readouterr().out.splitlines()
    start = lines[0].index("Python")
    width = min(len(line[start:]) - len(line[start:].split("  ", 1)[1].lstrip()) for line in lines)
    return failed, {line[start : start + width].strip(): line for line in lines}, last


def test_a_machine_that_runs_the_tests_lacks_no_package(here):
    state, told = environment.packages()
    assert state != check.MISSING, told
    assert environment.python()[0] == check.OK


def test_a_package_that_is_not_installed_or_too_old_is_missing_with_what_to_do(here):
    text = (here / "pyproject.toml").read_text()
    text = text.replace('"tqdm>=4.66,<5"', '"tqdm>=99"').replace('"dvc>=3.60,<4"', '"no-such-package>=1"')
    (here / "pyproject.toml").write_text(text)
    state, told = environment.packages()
    assert state == check.MISSING
    assert "no-such-package (not installed)" in told
    assert "tqdm (" in told
    assert "pip install -r requirements.txt" in told


def test_a_package_of_another_version_than_the_pin_is_a_note(here):
    text = (here / "requirements.txt").read_text()
    (here / "requirements.txt").write_text(text.replace("Jinja2==", "Jinja2==1"))
    state, told = environment.packages()
    assert state == check.NOTE
    assert "Jinja2" in told


def test_a_python_that_is_too_old_is_missing(here):
    text = (here / "pyproject.toml").read_text()
    (here / "pyproject.toml").write_text(text.replace('">=3.11"', '">=9"'))
    assert environment.python()[0] == check.MISSING


def test_the_memory_is_that_of_the_machine(here):
    assert f"of {psutil.virtual_memory().total / 2**30:.1f} GiB" in environment.memory()[1]


def test_without_history_git_is_missing_and_the_command_fails_and_names_it(here, capsys):
    failed, lines, last = doctor(capsys)
    assert failed
    assert lines["git"].startswith(check.MISSING)
    assert last == "missing for `dvc repro`: git, DVC"


@pytest.fixture
def committed(here):
    """The checkout with DVC and one commit."""
    identity = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
    subprocess.run(["git", "init", "-q"], check=True)
    dvc("init", "-q")
    for command in (["add", "-A"], [*identity, "commit", "-qm", "start"]):
        subprocess.run(["git", *command], check=True)
    return here


def dvc(*arguments):
    subprocess.run([sys.executable, "-m", "dvc", *arguments], check=True, capture_output=True)


def test_a_fresh_checkout_lacks_nothing_and_asks_no_host(committed, capsys, monkeypatch):
    def asked(*_):
        raise AssertionError("a host was asked")

    monkeypatch.setattr(socket.socket, "connect", asked)
    failed, lines, last = doctor(capsys)
    assert not failed
    assert last == "nothing is missing for `dvc repro`"
    assert "no remote" in lines["DVC"]
    assert "no queued run" in lines["DVC"]
    assert "`dvc repro` draws multi_organ" in lines["images"]
    assert "not committed" not in lines["git"]


def test_a_lock_with_marks_of_a_conflict_is_missing(committed, capsys):
    (committed / "dvc.lock").write_text("<<<<<<< HEAD\nstages:\n  a: {}\n=======\n")
    failed, lines, _ = doctor(capsys)
    assert failed and "dvc.lock" in lines["DVC"]


def test_an_uncommitted_change_a_remote_and_a_queued_run_are_told(committed):
    dvc("exp", "run", "--queue", "-S", "model.margin=0.5")
    dvc("remote", "add", "-d", "store", str(committed / "store"))
    assert project.dvc() == (check.OK, "remote store; 1 queued run waits: `dvc queue start`")
    assert project.git()[1].endswith(", and changes that are not committed")


def test_a_mistake_in_params_is_one_line_and_ends_the_checks_of_params(here, capsys):
    changed(here)
    text = (here / "params.yaml").read_text()
    (here / "params.yaml").write_text(text.replace("margin: 0.2", "margin: 7"))
    failed, lines, _ = doctor(capsys)
    assert failed
    assert "model.margin = 7" in lines["params.yaml"]
    assert "disk" not in lines


def test_what_check_refuses_is_missing(here):
    content = changed(here, datasets={"pcam": {"root": "nowhere", "layout": "pcam", "image_size": 96}})
    found = check.looked_at("params.yaml", lambda: project.params(content))
    assert found.state == check.MISSING
    assert "datasets.pcam.root = 'nowhere': no such folder" in found.told


def test_too_little_room_for_the_images_of_a_root_is_missing(here, monkeypatch):
    content = changed(here, datasets={"pcam": {"root": "mine", "layout": "pcam", "image_size": 96}})
    (here / "mine").mkdir()
    for number in range(10):
        (here / "mine" / f"{number}.tif").touch()
    at_most = 10 * (96 * 96 * 3 + 128 * 128)
    usage = type("Usage", (), {"free": at_most})
    monkeypatch.setattr(project.shutil, "disk_usage", lambda _: usage)
    assert project.disk(content)[0] == check.OK
    usage.free -= 1
    state, told = project.disk(content)
    assert state == check.MISSING
    assert "dvc cache dir" in told
    assert "not known before they are there: multi_organ" in told


def test_credentials_are_asked_for_only_if_something_is_to_be_fetched(here, home):
    assert project.credentials(changed(here))[0] == check.OK
    remote = changed(here, data={"source": "remote"})
    state, told = project.credentials(remote)
    assert state == check.MISSING
    assert "~/.kaggle/access_token" in told
    for name in remote.downloads:
        paths.raw(name).mkdir(parents=True)
    assert project.credentials(remote)[0] == check.OK


@pytest.mark.parametrize(
    "name, content, place",
    [
        (".kaggle/access_token", SECRET, "~/.kaggle/access_token"),
        (".kaggle/kaggle.json", json.dumps({"username": "me", "key": SECRET}), "~/.kaggle/kaggle.json"),
        (".config/kaggle/kaggle.json", json.dumps({"key": SECRET}), "~/.config/kaggle/kaggle.json"),
        (".kaggle/credentials.json", json.dumps({"token": SECRET}), "~/.kaggle/credentials.json"),
    ],
)
def test_credentials_in_a_file_are_found_and_never_shown(here, home, name, content, place):
    assert kaggle.credentials() == ""
    (home / name).parent.mkdir(parents=True)
    (home / name).write_text(content)
    assert kaggle.credentials() == place
    state, told = project.credentials(changed(here, data={"source": "remote"}))
    assert state == check.OK
    assert place in told
    assert SECRET not in told


@pytest.mark.parametrize(
    "variables, place",
    [
        ({"KAGGLE_API_TOKEN": SECRET}, "KAGGLE_API_TOKEN"),
        ({"KAGGLE_USERNAME": "me", "KAGGLE_KEY": SECRET}, "KAGGLE_USERNAME and KAGGLE_KEY"),
        ({"KAGGLE_USERNAME": "me"}, ""),
    ],
)
def test_credentials_in_variables_are_found_and_never_shown(home, monkeypatch, variables, place):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert kaggle.credentials() == place


def test_weights_that_are_packaged_are_on_disk_and_others_are_told_to_need_the_hub(
    here, monkeypatch, tmp_path
):
    assert project.weights(changed(here)) == (check.OK, "on disk: tf_efficientnet_lite0")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    assert weights.on_disk("resnet34.tv_in1k") is None
    state, told = project.weights(changed(here, classifier={"weights": "imagenet"}))
    assert state == check.NOTE
    assert "inception_v3.tv_in1k, resnet34.tv_in1k" in told


def test_a_package_that_cannot_be_imported_is_missing():
    def look():
        import no_such_package  # noqa: F401

    found = check.looked_at("GPU", look)
    assert found.state == check.MISSING
    assert "no_such_package" in found.told
