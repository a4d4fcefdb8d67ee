"""`python -m services.clickstream`."""

from services.clickstream.app import run
from services.clickstream.settings import Settings
from services.kernel.worker.process import main

main(Settings.from_environment, run)
