"""`python -m services.dispatch`."""

from services.dispatch.app import run
from services.dispatch.settings import Settings
from services.kernel.worker.process import main

main(Settings.from_environment, run)
