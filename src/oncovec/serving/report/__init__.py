"""The report: one HTML page about the present run, for a reader who has no checkout.

It needs no torch. `command` is the command line, `read` reads a run and refuses a stale one, `content` puts
it into tables, `limits` says what it shows and what not, `page` fills page.html.
"""
