"""Networks: backbones, weights, losses, batches on the device, training, embedding.

It imports core, metrics and data.
"""
