"""Guards of Lethe, each taken away in turn, and the tests that notice.

`python -m tests.faults.mutants` takes every guard away once, in a copy of the tree, and runs the tests that are said
to notice; `docs/mutants.md` is the list for people.
"""
