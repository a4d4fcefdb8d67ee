"""What every worker stands on. Knows nothing of any worker; imports only `schemas`."""
