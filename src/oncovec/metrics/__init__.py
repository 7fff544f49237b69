"""Metrics, their intervals over groups, calibration and nearest neighbours, on arrays.

It imports core.
"""
