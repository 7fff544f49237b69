"""Near-duplicates: images that come from the same original."""
