"""What all tests share."""

pytest_plugins = ["tests.fixtures.platform", "tests.fixtures.tools"]
