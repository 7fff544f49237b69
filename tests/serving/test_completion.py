"""Completion by the shell, as `docs/reading-metrics.md` says to turn it on."""

import os
import subprocess
import sys

import pytest


def oncovec(instruction, folder, words=""):
    """What the command prints for a shell that completes the last of `words`."""
    environment = {
        **os.environ,
        "_ONCOVEC_COMPLETE": instruction,
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split(" ")) - 1),
    }
    command = [sys.executable, "-m", "oncovec.serving.cli"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert not done.stderr
    return done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_gets_a_script_that_asks_the_command(shell, tmp_path):
    assert f"_ONCOVEC_COMPLETE={shell}_complete" in oncovec(f"{shell}_source", tmp_path)


@pytest.mark.parametrize(
    "words, expected",
    [
        ("oncovec do", ["plain,doctor"]),
        ("oncovec export --na", ["plain,--names"]),
        (
            "oncovec predict --system flagship_m",
            [f"plain,flagship_{each}" for each in ("multi_organ", "malignancy", "melanoma")],
        ),
        ("oncovec predict --system mine.onc", ["file,mine.onc"]),
    ],
)
def test_commands_options_and_systems_are_completed(words, expected, repository):
    assert oncovec("bash_complete", repository, words).split() == expected


def test_outside_of_a_checkout_files_are_offered(tmp_path):
    assert oncovec("bash_complete", tmp_path, "oncovec predict --system fl").split() == ["file,fl"]
