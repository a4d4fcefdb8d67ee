"""`lethe demo`: a real shop's orders stream through the platform, one customer is forgotten, and it is proved.

Reads   the days of a real shop where they are at hand, else orders of the same shape
Plays   the shop (through its SDK), two carriers (with their kits), the operator and the officer (through `lethe`),
        and a thief (with a copy of the keyring's database and key files)
Writes  build/demo.json, build/certificate.jws, build/keys.jwks; a state directory of its own, taken down at the end
Never   holds a real person's name, address or number: those are not in the data, so they are made up
"""
