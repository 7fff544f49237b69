"""The doctor: what `dvc repro` needs, and whether it is there; nothing is asked of the network.

`command` is the command line, `environment` looks at the machine, `project` at the checkout and its params.
"""
