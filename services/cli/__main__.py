"""`python -m services.cli` is `lethe`."""

from services.cli.app import main

main()
