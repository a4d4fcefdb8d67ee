"""What every process that serves people over HTTP shares; what it serves is its own.

server      uvicorn as a part of a process              doorkeeper  whose bearer token is it
metering    answers counted by route, status and time
"""
