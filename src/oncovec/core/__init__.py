"""What every room uses: errors, paths, files and tables, params.yaml, workers, the frame of a stage.

It imports no other room.
"""
