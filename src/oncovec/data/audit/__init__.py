"""The audit of a split: what its test images have in train, and which images carry two labels."""
