"""The door for storefronts: takes their events and their customers' wishes to be forgotten, over HTTP.

Reads   certificates, erasure.requests     Writes  orders, erasure.requests, clicks
Keeps   SHA-256 of tokens, and per erasure request its state and certificate; no subject, so it owes no receipt
Opens   nothing: it mints keys for what comes in, and cannot read it back once it is sealed
Sees    every personal value of an event, in memory, for as long as its request lasts
Never   acknowledges before Kafka has an event, or says a value of an event in an answer, a log or a metric
"""
