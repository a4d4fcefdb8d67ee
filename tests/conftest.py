"""What all tests share."""

# Its pytest plugin would import it at the very end of a run, deep in the stack, where CPython 3.11 can fail with
# "AST constructor recursion depth mismatch" (python/cpython issue 106905).
import hypothesis

# How long an example takes says how busy the machine is, and nothing of what is tried.
hypothesis.settings.register_profile("lethe", deadline=None)
hypothesis.settings.load_profile("lethe")

pytest_plugins = ["tests.fixtures.platform", "tests.fixtures.tools", "tests.fixtures.outcomes"]
