"""Mints, opens and destroys data keys; alone sees key-encrypting keys.

Reads   holds, erasure.commands         Writes  erasure.receipts
Keeps   wrapped keys, grounds, subjects Serves  mint to who writes, open to who may read, over HTTP
Keeps   the tag key of the day          Serves  it to the gateway, until midnight (UTC)
Opens   nothing: it holds no personal value, sealed or open
Offline `offline.py` opens for an operator who holds database and KEK files (`lethe scan --inside`), counted first
Never   keeps an unwrapped key beyond its answer, or hands one out to a principal without the category
"""
