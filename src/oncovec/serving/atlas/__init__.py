"""The atlas: one HTML page on which every evaluated image is a point in the embedding.

It needs no torch. `command` is the command line, `view` reads a system, `thumbnails` makes small copies of
images, `page` puts page.html, its style and its scripts together.
"""
