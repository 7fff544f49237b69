"""Code that every room uses: errors, paths, files and tables, params.yaml, workers, the frame of a stage.

This room imports no other room.
"""
