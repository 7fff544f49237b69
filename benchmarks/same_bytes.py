"""Does the working tree give the outputs of the last commit, byte for byte? Asked of a run from nothing.

Run by `make same-bytes`, with params.yaml as it is committed: minutes on phantoms. Where it says
yes, an edit changed no result, and `dvc commit -f` records the edited code beside outputs that took long.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]


def git(*arguments: str) -> str:
    """What a git command of the checkout prints."""
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True).stdout


def outputs(lock: str) -> dict[str, dict[str, str]]:
    """Hash of each output, by stage."""
    stages = yaml.load(lock, getattr(yaml, "CSafeLoader", yaml.SafeLoader))["stages"]
    return {name: {out["path"]: out["md5"] for out in stage["outs"]} for name, stage in stages.items()}


def run_anew(folder: Path) -> str:
    """Copy the working tree, params.yaml of the last commit in it, run all of it, return its dvc.lock."""
    subprocess.run(["git", "clone", "-q", ROOT, folder], check=True)
    for name in git("ls-files", "--cached", "--others", "--exclude-standard").splitlines():
        if (ROOT / name).is_file() and name not in ("params.yaml", "dvc.lock"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes((ROOT / name).read_bytes())
    subprocess.run(["dvc", "repro", "--force"], cwd=folder, check=True)
    return (folder / "dvc.lock").read_text(encoding="utf-8")


def main() -> None:
    """Print each output that differs; exit with 1 if one does."""
    before = outputs(git("show", "HEAD:dvc.lock"))
    with tempfile.TemporaryDirectory() as folder:
        after = outputs(run_anew(Path(folder) / "checkout"))
    differing = [
        f"{stage}: {path}"
        for stage in sorted(before.keys() | after.keys())
        for path in sorted(before.get(stage, {}).keys() | after.get(stage, {}).keys())
        if before.get(stage, {}).get(path) != after.get(stage, {}).get(path)
    ]
    print("\n".join(differing) or f"the same bytes in all outputs of {len(after)} stages")
    sys.exit(1 if differing else 0)


if __name__ == "__main__":
    main()
