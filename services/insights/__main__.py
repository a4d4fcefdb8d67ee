"""`python -m services.insights`."""

from services.insights.app import run
from services.insights.settings import Settings
from services.kernel.worker.process import main

main(Settings.from_environment, run)
