"""`python -m services.orders`."""

from services.kernel.worker.process import main
from services.orders.app import run
from services.orders.settings import Settings

main(Settings.from_environment, run)
