"""What a process says about itself, never about a person.

log      JSON lines on stdout, keywords from an allow-list
metrics  every metric of the platform, declared in one place
health   /live, /ready and /metrics over HTTP
"""
