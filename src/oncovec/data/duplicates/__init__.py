"""Near-duplicates: images of the same original, found by their small grey copies.

- keypoints: detects keypoints in each small copy (SIFT)
- vectors: computes one vector per image, which sums its keypoints by visual words
- candidates: pairs each image with the images of the nearest vectors
- registration: verifies a pair: keypoints must agree on one geometry, and pixels must agree under it
- pairs: lists the verified pairs; `find` runs all of these steps
"""

from oncovec.data.duplicates.pairs import COLUMNS, Pair, cluster, find, table

__all__ = ["COLUMNS", "Pair", "cluster", "find", "table"]
