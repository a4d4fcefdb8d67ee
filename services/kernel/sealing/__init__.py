"""Sealed values and the keys that open them; the only package outside the keyring that sees key bytes.

jwe      the one sealed form              place    where a value logically lives
keys     data keys and what they are for  keyring  asking the keyring: mint, and open on a lease
memory   the keyring's in-memory twin     wire     the way to the keyring
tagging  the key that a day's tags are made under
"""
