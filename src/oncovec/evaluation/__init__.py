"""Evaluation of a system: gallery, predictions, reports, baselines, plots.

This room imports core, metrics and data, and no torch.
"""
