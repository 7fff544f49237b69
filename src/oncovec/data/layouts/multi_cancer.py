"""Multi Cancer: 26 classes, their organs, and their assignment to benign and malignant."""

from oncovec.core.errors import OncovecError
from oncovec.data.layouts.listing import Listing, Record, make_listing
from oncovec.data.layouts.scan import nearest_folder, note, scan
from oncovec.data.tree import Folder

CLASSES = {
    "all_benign": ("Blood", "benign"),
    "all_early": ("Blood", "malignant"),
    "all_pre": ("Blood", "malignant"),
    "all_pro": ("Blood", "malignant"),
    "brain_glioma": ("Brain", "malignant"),
    "brain_menin": ("Brain", "malignant"),
    "brain_tumor": ("Brain", "malignant"),
    "breast_benign": ("Breast", "benign"),
    "breast_malignant": ("Breast", "malignant"),
    "cervix_dyk": ("Cervix", "malignant"),
    "cervix_koc": ("Cervix", "malignant"),
    "cervix_mep": ("Cervix", "benign"),
    "cervix_pab": ("Cervix", "benign"),
    "cervix_sfi": ("Cervix", "benign"),
    "colon_aca": ("Colon", "malignant"),
    "colon_bnt": ("Colon", "benign"),
    "kidney_normal": ("Kidney", "benign"),
    "kidney_tumor": ("Kidney", "malignant"),
    "lung_aca": ("Lung", "malignant"),
    "lung_bnt": ("Lung", "benign"),
    "lung_scc": ("Lung", "malignant"),
    "lymph_cll": ("Lymph", "malignant"),
    "lymph_fl": ("Lymph", "malignant"),
    "lymph_mcl": ("Lymph", "malignant"),
    "oral_normal": ("Mouth", "benign"),
    "oral_scc": ("Mouth", "malignant"),
}
"""Organ and malignancy of each class. This assignment is for this dataset only and is no medical statement.

SIPaKMeD calls superficial-intermediate (sfi) and parabasal (pab) cells normal, metaplastic (mep) cells
benign, koilocytotic (koc) and dyskeratotic (dyk) cells abnormal.
"""


def read(tree: Folder) -> Listing:
    """List the images with three labels: `class` (26), `organ` (9) and `malignancy`.

    Class folders are found by name at any depth, because public descriptions disagree about their parent
    folders.
    """
    found = scan(*tree.walk())
    records = []
    for image in found.images:
        name = nearest_folder(image, CLASSES)
        if name:
            organ, malignancy = CLASSES[name]
            records.append(Record(image, {"class": name, "organ": organ, "malignancy": malignancy}))
    if not records:
        raise OncovecError(f"{tree}: no image found; looked for folders named {', '.join(CLASSES)}")
    return make_listing(
        tree,
        records,
        label_columns=("class", "organ", "malignancy"),
        classes=CLASSES,
        masks=len(found.masks),
        notes=[
            *found.notes(),
            note(len(found.images) - len(records), "images in no class folder ignored"),
        ],
    )
