"""Kaggle datasets and competitions: the address of an archive, and a message for each refusal of Kaggle."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from oncovec.core.errors import OncovecError
from oncovec.data.download import client, transfer
from oncovec.data.download.transfer import Location, TransientError

NO_CREDENTIALS = (
    "Kaggle asks for an account's token: make one at https://www.kaggle.com/settings (API), put it into "
    "~/.kaggle/access_token or the variable KAGGLE_API_TOKEN, and run again; phantoms "
    "(data.source=phantom) need none"
)
REFUSED = "is not accepted: make a new one at https://www.kaggle.com/settings (API)"


def locate(kind: str, name: str) -> Location:
    """Request the current address of the archive of a dataset or competition from Kaggle.

    Args:
        kind: `dataset` or `competition`.
        name: owner/slug/version, or the competition's name.

    Raises:
        OncovecError: one line, for a failure that a retry does not change.
        TransientError: for a failure that may be temporary.
    """
    answer = _ask(kind, name)
    if "url" in answer:
        _insist_on_https(answer["url"], name)
        return Location(answer["url"], signed=True)
    if "passing" in answer:
        raise TransientError(f"Kaggle: {answer['passing']}")
    if "certificate" in answer:
        raise OncovecError(f"Kaggle: {transfer.CERTIFICATE}")
    if "credentials" in answer and not answer["credentials"]:
        raise OncovecError(NO_CREDENTIALS)
    if "credentials" in answer:
        raise OncovecError(f"the Kaggle token in {answer['credentials']} {REFUSED}")
    status = answer["status"]
    if status in (408, 425, 429) or status >= 500:
        raise TransientError(f"Kaggle answers {status}", transfer.retry_after(answer["retry_after"]))
    raise OncovecError(refusal(kind, name, status, answer["token"]))


def page(kind: str, name: str) -> str:
    """Return the address of the page of a dataset's version, or of a competition."""
    if kind == "competition":
        return f"https://www.kaggle.com/competitions/{name}"
    owner, slug, version = name.split("/")
    return f"https://www.kaggle.com/datasets/{owner}/{slug}/versions/{version}"


def credentials() -> str:
    """Return where there are credentials: a variable or a file, never their content; '' if there are none.

    Nothing is asked of Kaggle, so that whether it accepts them is not known.
    """
    from kagglesdk.kaggle_env import get_access_token_from_env

    if source := get_access_token_from_env()[1]:
        return "~/.kaggle/access_token" if source == "access_token" else str(source)
    if os.environ.get("KAGGLE_USERNAME") and os.environ.get("KAGGLE_KEY"):
        return "KAGGLE_USERNAME and KAGGLE_KEY"
    chosen = os.environ.get("KAGGLE_CONFIG_DIR")
    folders = [chosen] if chosen else ["~/.kaggle", "~/.config/kaggle"]
    files = [f"{folder}/kaggle.json" for folder in folders] + ["~/.kaggle/credentials.json"]
    return next((file for file in files if Path(file).expanduser().is_file()), "")


def refusal(kind: str, name: str, status: int, token: str | None) -> str:
    """Return the message for a refusal: what was refused, the reason, and the page that helps."""
    if status == 401:
        return f"{name}: Kaggle answers 401: the token in {token} {REFUSED}"
    if status == 403 and kind == "competition":
        return f"{name}: Kaggle answers 403: accept the competition's rules at {page(kind, name)}/rules"
    if status == 403:
        return f"{name}: Kaggle answers 403: this account may not fetch it; see {page(kind, name)}"
    if status == 404:
        what = "competition" if kind == "competition" else "dataset, or not this version of it"
        return f"{name}: Kaggle answers 404: there is no such {what}; see {page(kind, name)}"
    return f"{name}: Kaggle answers {status}; see {page(kind, name)}"


def _ask(kind: str, name: str) -> dict[str, Any]:
    patience = transfer.timeout() + 5  # the start of the client takes 1 s of this
    address = transfer.address("ONCOVEC_KAGGLE_URL", client.ADDRESS)
    try:
        done = subprocess.run(
            # -P: in the folder of the client's file there is another module with the name kaggle
            [sys.executable, "-P", client.__file__, kind, name, address, str(patience + 1)],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=patience,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise TransientError(f"Kaggle: no answer within {patience:g} s") from None
    try:
        answer: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        # Only the beginning of the last line is shown: the rest might contain an address or a token.
        last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2].partition(":")[0]
        raise OncovecError(f"{name}: the kaggle client failed ({last or done.returncode})") from None
    return answer


def _insist_on_https(url: str, name: str) -> None:
    parts = urlsplit(url)
    if parts.scheme != "https" and parts.hostname not in transfer.LOOPBACK:
        raise OncovecError(f"{name}: Kaggle leads to an address without https; refused")
