"""`python -m services.keyring`"""

from services.kernel.worker.process import main
from services.keyring.app import run
from services.keyring.settings import Settings

main(Settings.from_environment, run)
