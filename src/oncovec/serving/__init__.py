"""A trained system put to use: load, predict, embed, and the command line.

It may import every other room.
"""
