"""Files of any git revision or DVC experiment, read from Git and DVC's cache without a checkout."""

from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any

from oncovec.core import paths
from oncovec.core.errors import OncovecError, not_there

SECTIONS = {
    "download": "downloads",
    **dict.fromkeys(("preprocess", "group", "split"), "datasets"),
    **dict.fromkeys(("train", "embed", "evaluate"), "systems"),
    "external": "external",
}
"""Section of params.yaml whose rows a stage runs for."""

NAMES = "`dvc exp list` and `git log` name them"


def read(rev: str, files: Sequence[Path]) -> list[str]:
    """Return the texts of `files` at `rev`; the files are tracked by Git or by DVC.

    Args:
        rev: a commit, branch, tag, or name of an experiment; empty for the current workspace.
        files: paths relative to the root of the checkout, which is the working directory.

    Raises:
        OncovecError: if there is no such revision, it has no such file, or the file is no longer (or not yet)
            in DVC's cache.
    """
    if not rev:
        return [_read(file) for file in files]
    from dvc.api import DVCFileSystem
    from dvc.scm import RevError

    try:
        with told(f"{rev}: DVC cannot read it"):
            files_then = DVCFileSystem(rev=rev)
            files_then.info("")  # fails if there is no such revision, which `exists` hides
            texts = []
            for file in files:
                if not files_then.exists(file.as_posix()):
                    if any(_is_output(files_then, folder) for folder in file.parents):
                        raise FileNotFoundError
                    raise OncovecError(f"{rev}: has no {file}; no such result was kept there")
                texts.append(files_then.read_text(file.as_posix(), encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise OncovecError(f"{rev}: {file} cannot be read ({error})") from None
    except RevError:
        cut = Path(".git/shallow").exists()
        advice = "the history of this clone is cut: `git fetch --unshallow` brings it" if cut else NAMES
        raise OncovecError(f"{rev}: no one revision or experiment has this name; {advice}") from None
    except OSError:
        raise OncovecError(
            f"{rev}: {file} is not in DVC's cache; fetch it (`dvc pull`), or make it again "
            f"(`dvc exp apply {rev}` or `git checkout {rev}`, then `dvc repro`)"
        ) from None
    return texts


@contextmanager
def told(what: str) -> Iterator[None]:
    """Raise an `OncovecError` for what DVC and Git cannot do; a revision that is not there is passed on."""
    from dvc.exceptions import DvcException
    from dvc.scm import RevError, SCMError
    from pygit2 import GitError

    try:
        yield
    except RevError:
        raise
    except (DvcException, SCMError, GitError) as error:
        advice = ""
        if not any((folder / ".git").exists() for folder in (Path.cwd(), *Path.cwd().parents)):
            advice = "; a ZIP has no history: `git clone` the repository, or `git init` and commit here"
        elif isinstance(error, GitError) and "not owned" in str(error):
            advice = f"; `git config --global --add safe.directory '{Path.cwd()}'` if you trust it"
        raise OncovecError(f"{what}: {' '.join(str(error).split())}{advice}") from None


def _is_output(files_then: Any, folder: Path) -> bool:
    """Return whether a folder is an output; it appears empty if its file list is not in the cache."""
    known = files_then.exists(folder.as_posix())
    return known and bool(files_then.info(folder.as_posix()).get("dvc_info", {}).get("isout"))


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise not_there(file) from None
    except (OSError, UnicodeDecodeError) as error:
        raise OncovecError(f"{file}: cannot be read ({error}); run `dvc repro`") from None


def refuse_stale(rev: str, result: Path) -> None:
    """Refuse a result that comes from an earlier commit although its params have changed since.

    This happens to the systems that a `dvc exp run` of one target leaves out. The stage of the result and the
    stages of its dependencies must have run with the params of the revision, each on the last outputs of the
    others. The lock is read here because `dvc status`, which knows this of the workspace, cannot be asked
    about another revision.

    Args:
        rev: as in `read`; of the workspace, changes of code and of files are not noticed.
        result: a file that a stage wrote.

    Raises:
        OncovecError: if the result is stale; the message names the stage that did not run.
    """
    from dvc.utils.serialize import parse_yaml

    texts = read(rev, [paths.LOCK, paths.PARAMS])
    with told(rev or "DVC cannot read this checkout"):
        lock, params = map(parse_yaml, texts, (str(paths.LOCK), str(paths.PARAMS)))
    stages = lock.get("stages", {})
    made = {out["path"]: (name, out) for name, stage in stages.items() for out in stage.get("outs", [])}
    where, advice = (f"{rev}: ", "") if rev else ("", "; run `dvc repro`")
    late = f"{where}{result} is out of date: {{}} did not run when {{}} changed{{}}{advice}"
    waiting, seen, inner = [result.as_posix()], set(), {}
    while waiting:
        name = made[output][0] if (output := _output_of(waiting.pop(), made)) else None
        if name is None or name in seen:
            continue
        seen.add(name)
        for key, then in stages[name].get("params", {}).get(str(paths.PARAMS), {}).items():
            if (now := _value(params, key)) != then:
                changed = "" if isinstance(then, dict) else f" ({then} then, {now} now)"
                raise OncovecError(late.format(name, key, changed))
        for used in stages[name].get("deps", []):
            if used["path"] in made and used.get("md5") != made[used["path"]][1].get("md5"):
                raise OncovecError(late.format(name, used["path"], ""))
            if used["path"] not in made and _output_of(used["path"], made):
                inner[name, used["path"]] = used.get("md5")
            inside = _outputs_in(used["path"], made)
            waiting += [used["path"], *(each for each in inside if _has_row(made[each][0], params))]
    now_there = _hashes(rev, [path for _, path in inner])
    for (name, path), then in inner.items():
        if now_there.get(path, then) != then:
            raise OncovecError(late.format(name, path, ""))


def _has_row(stage: str, params: Any) -> bool:
    """Return whether the row of a stage such as `train@ROW` exists; the lock keeps those of removed rows."""
    name, _, row = stage.partition("@")
    return name not in SECTIONS or row in (params.get(SECTIONS[name]) or {})


def _output_of(path: str, outputs: Container[str]) -> str | None:
    """Return the output that is this path or contains it; None if there is none."""
    folders = (folder.as_posix() for folder in PurePosixPath(path).parents)
    return next((each for each in (path, *folders) if each in outputs), None)


def _outputs_in(path: str, outputs: Iterable[str]) -> list[str]:
    """Return the outputs inside a folder, on which a stage may depend as a whole."""
    return [each for each in outputs if PurePosixPath(each).is_relative_to(path) and each != path]


def _hashes(rev: str, files: Sequence[str]) -> dict[str, str]:
    """Return hashes of files inside output folders, if the folder of the file is in DVC's cache."""
    from dvc.api import DVCFileSystem
    from dvc_data.index import DataIndexDirError

    found = {}
    if files:
        files_then = DVCFileSystem(rev=rev)
        for file in files:
            with suppress(OSError, KeyError, DataIndexDirError):
                found[file] = files_then.info(file)["md5"]
    return found


def _value(params: Any, key: str) -> Any:
    """Look up a dotted key; return None if it does not exist."""
    for part in key.split("."):
        params = params.get(part) if isinstance(params, dict) else None
    return params


def experiments() -> list[str]:
    """Return the sorted names of the experiments that start from the current commit."""
    from dvc.api import exp_show

    with told("DVC cannot list the experiments"):
        rows = exp_show()
    return sorted(row["Experiment"] for row in rows if row["Experiment"])
