"""The storefront's side of Lethe: send orders and wishes to be forgotten, without ever standing in a shop's way.

Installed on its own as `lethe_storefront`; imports nothing of the platform.
"""

from .client import Lethe
from .queue import Erasure, Report

__all__ = ["Erasure", "Lethe", "Report"]
