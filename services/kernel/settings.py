"""What every worker is told from outside: addresses by environment, secrets by file."""

import os
import re
from pathlib import Path

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings.exceptions import SettingsError
from pydantic_settings.sources import SecretsSettingsSource

from services.kernel.errors import ConfigurationError

PREFIX = "LETHE_"


class WorkerSettings(BaseSettings):
    """Common settings; a worker adds its own fields.

    Environment variables are the upper-case field names with the prefix `LETHE_`. A secret is a file of mode 0600 in
    the directory `LETHE_SECRETS`, named like the field, so that it shows neither in the environment nor on a
    command line.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="ignore", hide_input_in_errors=True
    )

    principal: str
    """Kafka user, database role and keyring principal."""
    instance: str
    """Stable name of this process among the instances of its worker."""
    kafka: str
    """host:port of a broker."""
    kafka_password: SecretStr
    database_host: str = "127.0.0.1"
    database_port: int
    database_name: str
    database_password: SecretStr
    keyring_url: str = ""
    keyring_token: SecretStr = SecretStr("")
    keyring_authority: Path | None = None
    """PEM file of the authority that vouches for the keyring's certificate; without it those that the system trusts."""
    health_port: int = 0
    """Port of /live, /ready and /metrics; 0 lets the system choose."""
    session_timeout_seconds: float = Field(default=30.0, ge=6)
    policy_version: str = "1"
    restored: bool = False
    """The operator's word that a database or topic was restored on purpose."""
    breaker_exempt: frozenset[str] = frozenset()
    """Topics whose unreadable records the operator has seen and lets be dead-lettered, as a JSON array."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        directory = os.environ.get(PREFIX + "SECRETS")
        files = (
            SecretsSettingsSource(settings_cls, secrets_dir=directory, env_prefix="") if directory else None
        )
        return (init_settings, env_settings, *([files] if files else []))

    @classmethod
    def from_environment(cls) -> "WorkerSettings":
        """Return validated settings; raise `ConfigurationError` naming the wrong fields, never their values."""
        try:
            settings = cls()
        except ValidationError as error:
            fields = sorted(
                {str(each["loc"][0]) for each in error.errors(include_input=False, include_url=False)}
            )
            raise ConfigurationError("settings", fields=",".join(fields)) from None
        except SettingsError as error:
            # What should be JSON and is not; its message names the field and nothing else that was said.
            named = re.search(r'field "(\w+)"', str(error))
            raise ConfigurationError("settings", fields=named[1] if named else "?") from None
        _check_modes(Path(os.environ.get(PREFIX + "SECRETS", "")))
        return settings


def _check_modes(directory: Path) -> None:
    """Refuse secrets that others on the machine can read."""
    for path in directory.iterdir() if directory.name else ():
        if path.is_file() and path.stat().st_mode & 0o077:
            raise ConfigurationError("secret-readable-by-others", file=path.name)
