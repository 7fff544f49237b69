"""Near-duplicates: images that come from the same original, found by small grey copies of them.

- keypoints: of each small copy (SIFT)
- vectors: one of each image, which sums its keypoints up by visual words
- candidates: each image with those whose vectors are nearest
- registration: the second look, at keypoints that agree on one geometry and pixels that agree under it
- pairs: those that the second look confirms; `find` goes through all of it
"""

from oncovec.data.duplicates.pairs import COLUMNS, Pair, cluster, find, table

__all__ = ["COLUMNS", "Pair", "cluster", "find", "table"]
