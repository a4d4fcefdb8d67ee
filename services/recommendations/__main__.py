"""`python -m services.recommendations`."""

from services.kernel.worker.process import main
from services.recommendations.app import run
from services.recommendations.settings import Settings

main(Settings.from_environment, run)
