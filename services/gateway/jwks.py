"""Public keys of certificates, as a JWK set (RFC 7517 §5), so that anybody can verify one."""

from pathlib import Path

import orjson

from services.kernel.telemetry import log

_log = log.get(__name__)
_NONE = b'{"keys":[]}'
# Members of public keys alone: should a private key ever stand in the file, this keeps it there.
_PUBLIC = frozenset(
    {"kty", "crv", "x", "y", "n", "e", "kid", "use", "alg", "key_ops", "not_before", "retired_at"}
)


class CertificateKeys:
    """Reads a file that others write, again whenever it changes; an absent file is an empty set."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._version: tuple[int, int] = (0, 0)
        self._document = _NONE

    def document(self) -> bytes:
        """Return the set as JSON; keep to the last readable one while the file is being written."""
        if self._path is None:
            return _NONE
        try:
            status = self._path.stat()
            version = (status.st_mtime_ns, status.st_size)
            if version != self._version:
                self._document = _public(self._path.read_bytes())
                self._version = version
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            _log.warning("certificate keys unreadable", error=type(error).__name__)
        return self._document


def _public(content: bytes) -> bytes:
    keys = orjson.loads(content)["keys"]
    return orjson.dumps({"keys": [{name: key[name] for name in key if name in _PUBLIC} for key in keys]})
