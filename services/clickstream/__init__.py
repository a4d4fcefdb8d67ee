"""Counts the visitors of every cell, exactly, and publishes what crowds did (C3).

Reads   clicks                              Writes  statistics
Keeps   per open window: cells and the tags seen in each; which windows are closed; published numbers for 30 days
Opens   nothing, and sees nobody: a tag is the same only for one visitor of one cell in one window
Never   publishes a number of fewer than a crowd, or one of a closed window again

Nothing here is about a subject, so it owns nothing that an erasure could reach and owes no receipt.
"""
