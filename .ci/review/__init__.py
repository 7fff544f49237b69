"""What a pull request changed, for its reviewer; read from Git and DVC, without running the pipeline.

It needs DVC and PyYAML alone, so that it runs in seconds where PyTorch is not installed.
"""
