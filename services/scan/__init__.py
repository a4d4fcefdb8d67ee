"""Searches everything that a platform has written for a text, after proving that it would have found it.

Reads   every log segment, table, relation file, write-ahead log, log file, metrics page and file of a platform,
        and the command lines and environments of its processes
Keeps   nothing; its controls are planted before a search and removed after it
Never   says what stands around a find, or `nothing found` where it could not look
"""

from services.scan.findings import Find, Findings, Tally
from services.scan.scanning import scan

__all__ = ["Find", "Findings", "Tally", "scan"]
