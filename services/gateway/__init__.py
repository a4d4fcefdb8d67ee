"""The door for storefronts: takes their events, their customers' wishes to be forgotten, and clicks, over HTTP.

Reads   certificates, erasure.requests     Writes  orders, erasure.requests, clicks
Keeps   SHA-256 of tokens, what shops say of their pages, and per erasure request its state and certificate; no
        subject, so it owes no receipt; of a visitor's page, in memory and until a crowd has come, its sealed cells
Opens   nothing: it mints keys for what comes in, and cannot read it back once it is sealed
Sees    every personal value of an event, and the address and user agent of a browser, for as long as a request lasts
Never   acknowledges an event before Kafka has it; sets a cookie; reads what somebody sends who refuses (`Sec-GPC`,
        `DNT`); says a value of an event or of a visitor in an answer, a log or a metric
"""
