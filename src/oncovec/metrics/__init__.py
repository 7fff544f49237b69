"""Metrics on arrays, their intervals over groups, calibration and nearest neighbours.

This room imports core.
"""
