"""`python -m review`, as which `.ci/pull_request` runs."""

from review.command import main

main()
