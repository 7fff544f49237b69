"""The audit of a split: leaks between its splits, and images with two labels."""
