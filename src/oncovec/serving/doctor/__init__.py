"""The doctor: what `dvc repro` needs, and whether it is there.

Nothing is asked of the network, except whether an MLflow server that params.yaml names is there.

`command` is the command line, `environment` looks at the machine, `project` at the checkout and its params.
"""
