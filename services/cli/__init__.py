"""The command `lethe`: one file per group of verbs, composed in `app.py`.

Every verb takes `--state` (or `LETHE_STATE`) and `--json`; every verb that changes something takes `--dry-run`.
Exit codes: see `exits.py`.
"""
