"""`python -m services.erasure`."""

from services.erasure.app import run
from services.erasure.settings import Settings
from services.kernel.worker.process import main

main(Settings.from_environment, run)
