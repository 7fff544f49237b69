"""The kaggle client in a separate process: it requests the address of an archive and prints it as JSON.

The client authenticates on import, prints help, may end the process, and waits without limit for a server
that does not respond. A separate process protects the stages from this: `oncovec.data.download.kaggle` starts
this file, reads one line, and ends the process when it takes too long. Credentials stay in this process. It
imports nothing from the library, so that it starts quickly.
"""

import contextlib
import io
import json
import os
import sys
import threading
from typing import Any
from urllib.parse import urljoin

import requests

ADDRESS = "https://api.kaggle.com"


def main(kind: str, name: str, address: str, patience: str) -> None:
    """Print `{"url": …}`, or the reason for a failure.

    Args:
        kind: `dataset` or `competition`.
        name: owner/slug/version, or the competition's name.
        address: address of Kaggle's API.
        patience: seconds after which this process ends, also if its parent process has ended.
    """
    end = threading.Timer(float(patience), os._exit, (1,))
    end.daemon = True
    end.start()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        answer = ask(kind, name, address)
    print(json.dumps(answer))


def ask(kind: str, name: str, address: str) -> dict[str, Any]:
    """Request the address of an archive.

    Returns:
        `url`; or, for a failure, `status` with `retry_after` and `token`, `certificate`, `passing` or
        `credentials`.
    """
    # In verbose mode, the client would print the token.
    for variable in ("VERBOSE", "VERBOSE_OUTPUT"):
        os.environ.pop(variable, None)
    _redirect_to(address)
    api = None
    try:
        api = _authenticated()
        return _locate(api, kind, name) if api else {"credentials": _place(None)}
    except requests.HTTPError as error:
        return _refusal(error) | {"token": _place(api)}
    except requests.exceptions.SSLError:
        return {"certificate": True}
    except requests.exceptions.ProxyError:
        return {"passing": "the proxy of HTTPS_PROXY or HTTP_PROXY does not connect"}
    except requests.ConnectionError:
        return {"passing": "no connection"}
    except (OSError, ValueError):
        # The text is not a token: it is too long for a path, or has characters that no header may have.
        return {"credentials": _place(api)}


def _redirect_to(address: str) -> None:
    from kagglesdk import kaggle_env

    kaggle_env._env_to_endpoint[kaggle_env.KaggleEnv.PROD] = address
    if address != ADDRESS:
        os.environ["NO_PROXY"] = "*"


def _authenticated() -> Any:
    """Return the client's interface, or None if it finds no valid credentials."""
    import kaggle

    if not kaggle.api._authenticated:  # the import tried to, and hid the reason of the failure
        try:
            kaggle.api.authenticate()
        except SystemExit:
            return None
    return kaggle.api


def _place(api: Any) -> str | None:
    """Return the source of the credentials: the name of a variable or a file, never its content.

    Without an authenticated interface, this is the source of credentials that were found but not accepted;
    None if none were found.
    """
    from kaggle import KaggleApi
    from kagglesdk.kaggle_env import get_access_token_from_env

    method = api and str(api.config_values.get(api.CONFIG_NAME_AUTH_METHOD))
    with contextlib.suppress(OSError, ValueError):
        if method in (None, "ACCESS_TOKEN") and (source := get_access_token_from_env()[1]):
            return "~/.kaggle/access_token" if source == "access_token" else str(source)
    if method == "OAUTH":
        return "~/.kaggle/credentials.json"
    if "KAGGLE_KEY" in os.environ:
        return "KAGGLE_USERNAME and KAGGLE_KEY"
    if os.environ.get("KAGGLE_API_TOKEN"):
        return "KAGGLE_API_TOKEN"
    return str(KaggleApi.config) if os.path.exists(KaggleApi.config) else None  # noqa: PTH110


def _locate(api: Any, kind: str, name: str) -> dict[str, Any]:
    from kaggle.api.kaggle_api_extended import ApiDownloadDataFilesRequest, ApiDownloadDatasetRequest

    with api.build_kaggle_client() as client:
        session = client.http_client()._session
        # The redirect has the address; following it would fetch the beginning of the archive needlessly.
        session.max_redirects = 0
        if str(api.config_values.get(api.CONFIG_NAME_AUTH_METHOD)) == "LEGACY_API_KEY":
            # Otherwise the client sends a refused access token, if there is one beside the key.
            keys = (api.CONFIG_NAME_USER, api.CONFIG_NAME_KEY)
            session.auth = tuple(api.config_values[key] for key in keys)
        try:
            if kind == "dataset":
                wanted = ApiDownloadDatasetRequest()
                wanted.owner_slug, wanted.dataset_slug, version = name.split("/")
                wanted.dataset_version_number = int(version)
                answer = client.datasets.dataset_api_client.download_dataset(wanted)
            else:
                wanted = ApiDownloadDataFilesRequest()
                wanted.competition_name = name
                answer = client.competitions.competition_api_client.download_data_files(wanted)
        except requests.TooManyRedirects as redirect:
            found = redirect.response
            return {"url": urljoin(found.url, found.headers["Location"])}
        answer.close()
        return {"passing": "an answer that leads to no archive"}


def _refusal(error: requests.HTTPError) -> dict[str, Any]:
    response = error.response
    status = response.status_code
    with contextlib.suppress(ValueError):
        # Some refusals have status 200 and the true code in the content.
        status = int(response.json().get("code", status)) if status < 400 else status
    return {"status": status, "retry_after": response.headers.get("Retry-After")}


if __name__ == "__main__":
    main(*sys.argv[1:])
