"""Makes what others build against out of the contracts: AsyncAPI and JSON Schema, committed in `published/`.

`python -m schemas.publish` writes the files, `python -m schemas.publish --check` says whether they are current.
"""
