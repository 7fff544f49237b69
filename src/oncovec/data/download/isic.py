"""The bulk files of the ISIC 2020 challenge: images and tables; no account is needed."""

from functools import partial
from urllib.parse import urlsplit

from oncovec.data.download import transfer
from oncovec.data.download.credits import credit
from oncovec.data.download.store import Wanted
from oncovec.data.download.transfer import Location
from oncovec.data.layouts.isic2020 import DUPLICATES, TABLES

ADDRESS = "https://isic-challenge-data.s3.amazonaws.com"
PAGE = "https://challenge2020.isic-archive.com"
FOLDER = "2020"
IMAGES = "ISIC_2020_Training_JPEG.zip"


def locate(file: str) -> Location:
    """Return the address of a bulk file."""
    address = transfer.address("ONCOVEC_ISIC_URL", ADDRESS)
    base = address if urlsplit(address).path else f"{address}/{FOLDER}"
    return Location(f"{base}/{file}")


def files() -> list[Wanted]:
    """List the tables and the images; the second edition of the ground truth is preferred if it exists."""
    better, first = (f"isic/{FOLDER}/{table}" for table in TABLES)
    return [
        _wanted(better, column="image_name", optional=True),
        _wanted(first, column="image_name", instead_of=better),
        _wanted(f"isic/{FOLDER}/{DUPLICATES}", column="image_name_1", optional=True),
        _wanted(f"isic/{FOLDER}/{IMAGES}"),
    ]


def _wanted(name: str, column: str = "", optional: bool = False, instead_of: str = "") -> Wanted:
    return Wanted(
        name=name,
        locate=partial(locate, name.rpartition("/")[2]),
        column=column,
        optional=optional,
        instead_of=instead_of,
        credit=credit("isic2020", PAGE),
    )
