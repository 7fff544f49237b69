"""Credits of the published images: authors, citations, and licences as far as they are known."""

LICENCES = {
    "masoudnickparvar/brain-tumor-mri-dataset": """\
Brain Tumor MRI Dataset, version 1 (2021), Masoud Nickparvar, https://doi.org/10.34740/KAGGLE/DSV/2645886
Licence: CC0 1.0, as most who use it report; its page on Kaggle decides.
Put together from figshare 1512427, SARTAJ and Br35H.
""",
    "aryashah2k/breast-ultrasound-images-dataset": """\
Breast Ultrasound Images (BUSI). W. Al-Dhabyani, M. Gomaa, H. Khaled, A. Fahmy: Dataset of breast
ultrasound images. Data in Brief 28 (2020) 104863, https://doi.org/10.1016/j.dib.2019.104863
Licence: CC0 1.0, as those who use it report; its page on Kaggle decides.
""",
    "adityamahimkar/iqothnccd-lung-cancer-dataset": """\
The IQ-OTHNCCD lung cancer dataset. H. Alyasriy, M. AL-Huseiny (2021), Mendeley Data, V2,
https://doi.org/10.17632/bhmdr45bh2.2
Licence: "Data files © Original Authors", as those who use it report; its page on Kaggle decides.
""",
    "navoneel/brain-mri-images-for-brain-tumor-detection": """\
Brain MRI Images for Brain Tumor Detection (2019), Navoneel Chakrabarty, put together from many places.
Licence: not known here; its page on Kaggle decides.
""",
    "obulisainaren/multi-cancer": """\
Multi Cancer Dataset, Obuli Sai Naren (2022), https://doi.org/10.34740/KAGGLE/DSV/3415848
Licence: CC BY-NC-SA 4.0, as its author states.
Put together, with augmentation, from sets of leukaemia, brain (figshare 1512427), breast, cervix
(SIPaKMeD), kidney, lung and colon (LC25000), lymphoma and mouth; each has authors, named on its page.
""",
    "histopathologic-cancer-detection": """\
PatchCamelyon, as Kaggle's competition has it. B. Veeling, J. Linmans, J. Winkens, T. Cohen, M. Welling:
Rotation Equivariant CNNs for Digital Pathology (2018), https://arxiv.org/abs/1806.03962; from Camelyon16,
B. Ehteshami Bejnordi et al., JAMA 318 (2017) 2199-2210, https://doi.org/10.1001/jama.2017.14585
Licence: PatchCamelyon is CC0; on Kaggle the competition's rules apply.
""",
    "isic2020": """\
The ISIC 2020 Challenge Dataset, https://doi.org/10.34970/2020-ds01, (c) by ISDIS, 2020.
Licence: CC BY-NC 4.0, https://creativecommons.org/licenses/by-nc/4.0/legalcode.txt
By the International Skin Imaging Collaboration (ISIC), with images from Hospital Clínic de Barcelona,
Medical University of Vienna, Memorial Sloan Kettering Cancer Center, Melanoma Institute Australia, The
University of Queensland, and the University of Athens Medical School.
V. Rotemberg et al.: A patient-centric dataset of images and metadata for identifying melanomas using
clinical context. Sci Data 8 (2021) 34, https://doi.org/10.1038/s41597-021-00815-z
""",
}
"""Credits by slug on Kaggle without the version; and of ISIC 2020."""


def credit(name: str, page: str) -> str:
    """Return the text of ATTRIBUTION.txt: source of the files, and authors and licence if known."""
    known = LICENCES.get(name, "Authors and licence: see that page.\n")
    return f"From {page}\n\n{known}"
