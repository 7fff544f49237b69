"""What a system is worth: gallery, predictions, reports, baselines, plots. No torch.

It imports core, metrics and data.
"""
