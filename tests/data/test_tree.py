import os
import pickle
from pathlib import Path

import pytest

from oncovec.core.errors import OncovecError
from oncovec.data.tree import Folder, alone


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    return root


# --- which files there are ---


def test_plain_files_are_sorted_by_path_and_hidden_ones_passed_over(tmp_path):
    touch(tmp_path, "b/1.png", "a.txt", "b.png", "b/c/2.png", ".git/3.png", "b/.hidden.png")
    assert Folder(tmp_path).paths() == ["a.txt", "b.png", "b/1.png", "b/c/2.png"]


def test_hidden_and_system_files_are_listed_apart(tmp_path):
    touch(tmp_path, "a/1.png", "a/._1.png", "a/Thumbs.db", "a/@eaDir/1.png/THUMB_M.jpg", "__MACOSX/a/._1.png")
    touch(
        tmp_path,
        ".DS_Store",
        "$RECYCLE.BIN/2.png",
        "System Volume Information/x",
        "~$labels.xlsx",
        "desktop.ini",
    )
    files, hidden = Folder(tmp_path).walk()
    assert files == ["a/1.png"]
    assert hidden == [
        *("$RECYCLE.BIN/", ".DS_Store", "System Volume Information/", "__MACOSX/", "a/._1.png", "a/@eaDir/"),
        *("a/Thumbs.db", "desktop.ini", "~$labels.xlsx"),
    ]
    assert Folder(tmp_path).folders() == ["a"]


def test_an_empty_folder_has_no_files(tmp_path):
    assert Folder(tmp_path).paths() == Folder(tmp_path).folders() == []


def test_links_to_folders_are_followed_and_loops_end(tmp_path):
    elsewhere = touch(tmp_path / "elsewhere", "1.png")
    root = touch(tmp_path / "root", "cat/1.png")
    (root / "dog").symlink_to(elsewhere)
    (root / "cat" / "again").symlink_to(root)
    assert Folder(root).paths() == ["cat/1.png", "dog/1.png"]
    assert Folder(root).folders() == ["cat", "dog"]


def test_a_folder_that_is_reached_twice_is_read_by_the_shorter_path(tmp_path):
    touch(tmp_path, "all/train/1.png")
    (tmp_path / "train").symlink_to(tmp_path / "all" / "train")
    assert Folder(tmp_path).paths() == ["train/1.png"]


def test_a_folder_goes_before_a_link_to_it(tmp_path):
    touch(tmp_path, "train/1.png")
    (tmp_path / "images").symlink_to(tmp_path / "train")
    assert Folder(tmp_path).paths() == ["train/1.png"]


def test_every_path_of_a_folder_with_two_names_is_listed_and_loops_end(tmp_path):
    touch(tmp_path, "train/cat/1.png", "test/dog/2.png")
    (tmp_path / "test/linked").symlink_to("../train/cat")
    (tmp_path / "train/other").symlink_to("../test")
    (tmp_path / "test/other").symlink_to("../train")
    (tmp_path / "loop").symlink_to(".")
    assert Folder(tmp_path).walk(every=True)[0] == [
        "test/dog/2.png",
        "test/linked/1.png",
        "test/other/cat/1.png",
        "train/cat/1.png",
        "train/other/dog/2.png",
        "train/other/linked/1.png",
    ]


def test_a_link_whose_target_is_gone_stays_and_a_pipe_does_not(tmp_path):
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere.png")
    os.mkfifo(tmp_path / "pipe.png")
    assert Folder(tmp_path).paths() == ["gone.png"]


def test_a_folder_that_may_not_be_listed_is_one_line(tmp_path, monkeypatch):
    touch(tmp_path, "locked/1.png")
    scandir = os.scandir

    def refuse(folder):
        if Path(folder).name == "locked":
            raise PermissionError(13, "Permission denied")
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(OncovecError, match=r"locked: cannot be listed \(Permission denied\)"):
        Folder(tmp_path).paths()


@pytest.mark.parametrize("ask", [Folder.paths, Folder.folders])
def test_a_missing_folder_is_one_line(ask, tmp_path):
    with pytest.raises(OncovecError, match=r"none: cannot be listed \(No such file or directory\)"):
        ask(Folder(tmp_path / "none"))


def test_folders_at_the_top_are_named_with_files_or_without(tmp_path):
    touch(tmp_path, "b/1.png", "2.png", ".hidden/3.png")
    (tmp_path / "a").mkdir()
    assert Folder(tmp_path).folders() == ["a", "b"]


# --- one file ---


def test_a_file_is_read_and_named(tmp_path):
    tree = Folder(touch(tmp_path, "a/1.png"))
    assert tree.read("a/1.png") == b"a/1.png"
    assert tree.where("a/1.png") == str(tmp_path / "a" / "1.png")
    assert str(tree) == str(tmp_path)


def test_what_cannot_be_read_says_so(tmp_path):
    tree = Folder(tmp_path)
    with pytest.raises(FileNotFoundError):
        tree.read("none.png")
    with pytest.raises(IsADirectoryError):
        tree.read(".")
    with pytest.raises(ValueError, match="null"):
        tree.read("a\0.png")


@pytest.mark.parametrize("name", ["a.png", "a/b.png", "/tmp/a.png", ".", "..", "/", "a\0.png"])
def test_a_file_by_itself_keeps_its_name(name):
    tree, path = alone(Path(name))
    assert tree.where(path) == str(Path(name))


# --- paths from a user's table ---


@pytest.fixture
def linked(tmp_path):
    """A folder with links: to a file inside, to one outside, to a folder outside, to nothing, to itself."""
    touch(tmp_path, "secret.png")
    root = touch(tmp_path / "own", "a/1.png", "a/b/2.png")
    (root / "inside.png").symlink_to(root / "a" / "1.png")
    (root / "outside.png").symlink_to(tmp_path / "secret.png")
    (root / "linked").symlink_to(tmp_path)
    (root / "gone.png").symlink_to(root / "nowhere.png")
    (root / "self.png").symlink_to(root / "self.png")
    os.mkfifo(root / "pipe.png")
    return root


@pytest.mark.parametrize("path", ["a/1.png", "a/b/2.png", "inside.png"])
def test_a_file_below_the_root_is_no_problem(path, linked):
    assert Folder(linked).problem(path) == ""


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("none.png", "is not there; paths are relative to {root}"),
        ("none/1.png", "is not there; paths are relative to {root}"),
        ("gone.png", "is not there; paths are relative to {root}"),
        ("self.png", "is not there; paths are relative to {root}"),
        ("a\0.png", "is not there; paths are relative to {root}"),
        ("outside.png", "is a link that points outside of {root}"),
        ("linked", "is a link that points outside of {root}"),
        ("linked/secret.png", "is a link that points outside of {root}"),
        ("a", "is not a file"),
        (".", "is not a file"),
        ("pipe.png", "is not a file"),
    ],
)
def test_a_path_that_cannot_be_used_has_its_reason(path, says, linked):
    assert Folder(linked).problem(path) == says.format(root=linked)


def test_a_folder_is_resolved_once_for_all_its_files(linked, monkeypatch):
    resolved = []
    resolve = Path.resolve
    monkeypatch.setattr(Path, "resolve", lambda self, strict=False: resolved.append(self) or resolve(self))
    tree = Folder(touch(linked, *(f"a/{number}.png" for number in range(100))))
    assert not any(tree.problem(f"a/{number}.png") for number in range(100))
    assert resolved.count(linked / "a") == 1


def test_a_copy_for_a_worker_is_equal_and_holds_the_root_alone(linked):
    tree = Folder(linked)
    before = pickle.dumps(tree)
    tree.problem("a/1.png")
    assert pickle.dumps(tree) == before
    assert pickle.loads(before) == tree == Folder(linked)
    assert Folder(linked) != Folder(linked / "a")
