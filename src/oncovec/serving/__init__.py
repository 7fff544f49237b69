"""Use of a trained system: load, predict, embed, serve, and the command line.

This room may import every other room.
"""
