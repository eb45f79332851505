"""The only reader of the environment: every `RECSAAS_…` variable, typed and documented."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from resources.base.errors import ConfigurationError, FieldProblem

_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_SQLITE = "sqlite:///"
RATE_PER_WORKER = 200.0
"""What a tenant may send to each worker where nothing else is set: a third of what a worker answers when it makes every
answer anew, so that no tenant can fill it."""


SECRET_SETTINGS = ("database", "decisions", "redis_url", "smtp_url", "oidc_client_secret", "billing_webhook_secret")
"""Settings that are a secret, or a URL that may hold one; `RECSAAS_<FIELD>_FILE` may name a file that one stands in."""
_LONGEST_SECRET = 64 * 1024


class _SecretFiles(PydanticBaseSettingsSource):
    """Reads `RECSAAS_<FIELD>_FILE`, as orchestrators hand secrets over: a file is in no list of processes."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Return what the file of a setting says, without blanks around it; None where no file is named.

        Raises:
            ConfigurationError: the value is set as well, or the file cannot be read, is empty or too long.
        """
        variable = _variable(field_name)
        path = os.environ.get(f"{variable}_FILE", "") if field_name in SECRET_SETTINGS else ""
        if not path:
            return None, field_name, False
        if os.environ.get(variable):
            raise ConfigurationError(f"{variable} and {variable}_FILE are both set. Take one of them away.")
        try:
            with Path(path).open(encoding="utf-8") as file:
                text = file.read(_LONGEST_SECRET + 1)
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no text in UTF-8"
            raise ConfigurationError(f"{variable}_FILE: {path} cannot be read: {reason}.") from error
        if len(text) > _LONGEST_SECRET:
            raise ConfigurationError(
                f"{variable}_FILE: {path} has more than {_LONGEST_SECRET:,} characters; no secret has."
            )
        if not text.strip():
            raise ConfigurationError(f"{variable}_FILE: {path} is empty. Write the value into it, or name no file.")
        return text.strip(), field_name, False

    def __call__(self) -> dict[str, Any]:
        """Return the settings that stand in files."""
        found = {name: self.get_field_value(self.settings_cls.model_fields[name], name)[0] for name in SECRET_SETTINGS}
        return {name: value for name, value in found.items() if value is not None}


class Settings(BaseSettings):
    """Settings of one installation. Each field is read from `RECSAAS_<FIELD>`, secrets from files, too."""

    model_config = SettingsConfigDict(env_prefix="RECSAAS_", frozen=True, extra="ignore")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What is passed in stands before the environment, and both before files."""
        return init_settings, env_settings, _SecretFiles(settings_cls)

    home: Path = Field(default=Path("var"), description="The folder that holds all state.")
    lake: str = Field(default="", description="Root of the lake: a folder or s3://bucket/prefix. Empty: `<home>/lake`.")
    lake_read_only: bool = Field(
        default=False, description="The service writes nothing into the lake: it refuses files, exports and erasures."
    )
    s3_endpoint: str = Field(
        default="", pattern=r"^(https?://[^\s/]+/?)?$", description="Address of the object store. Empty: AWS."
    )
    database: str = Field(
        default="", repr=False, description="URL of the control DB: SQLite or PostgreSQL. Empty: SQLite in `<home>`."
    )
    decisions: str = Field(
        default="",
        repr=False,
        description="URL of the decision log, as above. Empty: a SQLite file of its own in `<home>`.",
    )
    decision_days: int = Field(default=90, ge=1, description="How many days decisions are kept.")
    audit_days: int = Field(
        default=365, ge=1, description="How many days entries of the audit log are kept; older ones are removed."
    )
    host: str = Field(default="127.0.0.1", description="Address the service binds to.")
    service_port: int = Field(default=8000, ge=0, le=65535, description="Port of the service; busy: the next free one.")
    dagster_port: int = Field(default=3000, ge=0, le=65535, description="Port of the Dagster UI; busy: the next free.")
    dagster_host: str = Field(
        default="127.0.0.1", description="Address the Dagster UI binds to; it has no login of its own."
    )
    dagster_names: str = Field(
        default="", description="Host names, separated by commas, under which the Dagster UI is reached. Empty: local."
    )
    service_workers: int = Field(default=1, ge=1, le=64, description="Worker processes of the service.")
    max_upload_bytes: int = Field(default=2 * 1024**3, ge=1, description="Largest accepted upload, in bytes.")
    max_tenant_rows: int = Field(
        default=100_000_000, ge=1, description="Accepted rows of one tenant's uploads together; more are refused."
    )
    inline_upload_bytes: int = Field(
        default=32 * 1024**2, ge=0, description="Uploads over this many bytes are answered at once and checked later."
    )
    inline_upload_cpu_seconds: int = Field(
        default=30, ge=1, description="Processor time for reading an upload that is checked before it is answered."
    )
    max_upload_rows: int = Field(default=50_000_000, ge=1, description="Most rows of an upload.")
    upload_cpu_seconds: int = Field(
        default=900, ge=1, description="Processor time for reading any other upload, in seconds of all threads."
    )
    upload_memory_bytes: int = Field(
        default=2 * 1024**3, ge=256 * 1024**2, description="Memory of the process that reads an upload."
    )
    export_days: int = Field(
        default=7, ge=1, description="How many days the recommendations of all users are kept for a download."
    )
    erase_grace_days: int = Field(
        default=7, ge=0, le=90, description="How many days the erasure of a tenant can be undone by resuming it."
    )
    release_cache_bytes: int = Field(default=2 * 1024**3, ge=1, description="Memory for loaded releases per worker.")
    pointer_check_seconds: float = Field(default=1.0, ge=0, description="How often a release pointer is looked at.")
    answer_cache_bytes: int = Field(
        default=32 * 1024**2, ge=0, description="Memory for repeated answers per worker; 0: every answer is made anew."
    )
    redis_url: str = Field(
        default="",
        repr=False,
        pattern=r"^((redis|rediss|valkey|valkeys|unix)://.+)?$",
        description="Redis or Valkey that workers share answers and limits through. Empty: each worker for itself.",
    )
    rate_limit: float | None = Field(
        default=None,
        ge=0,
        description="Requests a second that one tenant may send; 0: any number. Not set: 200 for each worker, "
        "and more while no other tenant asks.",
    )
    key_rate_limit: float = Field(
        default=0, ge=0, description="Requests a second that may be sent with one API key; 0: any number."
    )
    address_rate_limit: float = Field(
        default=50, ge=0, description="Answers a second to one address without a valid API key; 0: any number."
    )
    page_rate_limit: float = Field(
        default=20, ge=0, description="Requests a second of one address with one browser key; 0: any number."
    )
    max_concurrency: int = Field(
        default=1024, ge=2, description="Requests in flight per worker; one tenant may have half of them."
    )
    max_body_bytes_in_flight: int = Field(
        default=64 * 1024**2,
        ge=8 * 1024**2,
        description="Bytes of JSON bodies that are arriving, per worker; one tenant may have half of them.",
    )
    max_header_bytes: int = Field(
        default=32 * 1024, ge=4096, le=1024**2, description="Largest request line and headers together, in bytes."
    )
    header_timeout_seconds: float = Field(
        default=10.0, gt=0, description="Longest wait for the headers of a request, and for a connection's first one."
    )
    idle_timeout_seconds: float = Field(
        default=15.0, gt=0, description="How long a connection is kept open for the next request."
    )
    max_connections: int = Field(default=2048, ge=2, description="Connections per worker.")
    max_address_connections: int = Field(
        default=512, ge=1, description="Connections of one address per worker; trusted proxies may have all."
    )
    trusted_proxies: str = Field(
        default="",
        description="Addresses or networks of proxies whose X-Forwarded-For is believed, separated by commas.",
    )
    request_timeout_seconds: float = Field(
        default=60.0, gt=0, description="Longest wait for a JSON body, or for more of a file."
    )
    upload_settle_seconds: float = Field(
        default=3.0, ge=0, description="Quiet time after the newest upload before the sensor starts a run."
    )
    item_changes_wait_seconds: float = Field(
        default=300.0, ge=0, description="How long changes of items by API wait for a run; answers show them at once."
    )
    dbt_memory_bytes: int = Field(
        default=2 * 1024**3, ge=128 * 1024**2, description="Memory for building one tenant's features; more is spilled."
    )
    max_training_users: int = Field(
        default=2_000_000, ge=1, description="Users in one model; beyond, the most active ones are kept."
    )
    max_training_items: int = Field(
        default=1_000_000, ge=1, description="Items in one model and release; beyond, the most active ones are kept."
    )
    training_threads: int = Field(default=0, ge=0, description="Threads for training; 0: all cores.")
    training_device: str = Field(default="auto", pattern="^(auto|cpu|cuda)$", description="Where models are trained.")
    training_processes: int = Field(default=1, ge=1, le=64, description="Processes that train one model together.")
    bench_data: str = Field(default="", description="Public data sets for benchmarks; empty: beside the checkout.")
    webhook_private: bool = Field(
        default=False,
        description="Webhooks may lead to http and to addresses that are not of the internet: for tests, and for a "
        "network in which every tenant is trusted.",
    )
    public_url: str = Field(
        default="",
        pattern=r"^(https?://[^\s/?#]+/?)?$",
        description="Address under which people reach the service, for links in mails. Empty: the one it binds to.",
    )
    smtp_url: str = Field(
        default="",
        repr=False,
        pattern=r"^(smtps?://\S+)?$",
        description="Mail server: smtp[s]://user:password@host:port/?from=…&starttls=…&ca=…. Empty: mails are files.",
    )
    office_second_factor: Literal["off", "required"] = Field(
        default="off", description="Whether people of the platform have to log in with a second factor."
    )
    prices: str = Field(
        default="", description="The price list for statements: JSON, or a TOML or JSON file. Empty: no statements."
    )
    billing_webhook_url: str = Field(
        default="",
        pattern=r"^(https?://[^\s]+)?$",
        description="Address at which your billing system takes the statements of all tenants. Empty: none.",
    )
    billing_webhook_secret: str = Field(
        default="",
        repr=False,
        description="What those are signed with: `whsec_` and 32 random bytes or more in base64.",
    )
    cors_origins: str = Field(
        default="",
        pattern=r"^(\*|https?://[^\s/,*]+/?(\s*,\s*https?://[^\s/,*]+/?)*)?$",
        description="Web origins whose pages may call the API, separated by commas, or `*`. Empty: none.",
    )
    signup: str = Field(
        default="",
        pattern="^(open|invited|closed)?$",
        description="Who may sign up: `open` anybody, `invited` whoever has an invitation, `closed` nobody. Empty: "
        "`open` while the service binds to this machine alone, else `invited`.",
    )
    signup_plan: str = Field(
        default="",
        pattern=r"^([a-z0-9][a-z0-9_-]{0,63})?$",
        description="The plan of shops that sign up. Empty: the installation's default plan.",
    )
    signing_key_days: int = Field(
        default=30, ge=1, description="The age at which the key that signs access tokens is replaced, in days."
    )
    demo_tenant: str = Field(default="", description="Tenant that the demo shop at /shop sells for. Empty: no shop.")
    oidc_issuer: str = Field(
        default="",
        pattern=r"^(https?://[^\s?#]+)?$",
        description="Address of the OpenID provider that people log in by (SSO). Empty: none.",
    )
    oidc_client_id: str = Field(default="", description="What this installation is called at the provider.")
    oidc_client_secret: str = Field(default="", repr=False, description="Its secret there.")
    oidc_scopes: str = Field(
        default="openid email profile", pattern=r"^openid( \S+)*$", description="What the provider is asked for."
    )
    oidc_allowed_domains: str = Field(
        default="", description="Domains of addresses that may log in to the office, separated by commas. Empty: any."
    )
    oidc_roles_claim: str = Field(default="groups", description="The claim that says what somebody may do.")
    oidc_roles: str = Field(
        default="",
        pattern=r"^([^=;]+=(super_admin|support_agent|developer)(;[^=;]+=(super_admin|support_agent|developer))*)?$",
        description="Which of its values are which role of the platform: `admins=super_admin;help=support_agent`.",
    )
    tracing: bool = Field(default=False, description="Requests are traced with OpenTelemetry, by BentoML's exporters.")
    log_level: str = Field(default="INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="Lowest level logged.")

    @property
    def lake_url(self) -> str:
        """Root of the lake, resolved."""
        return self.lake or str(self.home / "lake")

    @property
    def database_url(self) -> str:
        """SQLAlchemy URL of the control DB, resolved."""
        return self.database or f"sqlite:///{self.home / 'control.db'}"

    @property
    def decisions_url(self) -> str:
        """SQLAlchemy URL of the decision log, resolved."""
        return self.decisions or f"sqlite:///{self.home / 'decisions.db'}"

    @property
    def tenant_rate(self) -> float:
        """Requests a second that one tenant may send, resolved; 0: any number."""
        return self.rate_limit if self.rate_limit is not None else RATE_PER_WORKER * self.service_workers

    @property
    def signup_mode(self) -> str:
        """Who may sign up, resolved: `open`, `invited` or `closed`."""
        return self.signup or ("open" if self.host in _LOOPBACK else "invited")

    @property
    def site_url(self) -> str:
        """Address of the pages, without a slash at the end, resolved."""
        if self.public_url:
            return self.public_url.rstrip("/")
        # Nothing is bound here.
        host = "127.0.0.1" if self.host in ("", "0.0.0.0", "::") else self.host  # nosec B104
        return f"http://{f'[{host}]' if ':' in host else host}:{self.service_port}"

    @property
    def outbox(self) -> Path:
        """Folder of the mails that no server is set up for."""
        return self.home / "outbox"

    @property
    def scratch(self) -> Path:
        """Folder for work in progress and for locks, on this machine."""
        return self.home / "scratch"

    @property
    def dagster_home(self) -> Path:
        """Folder of the Dagster instance."""
        return self.home / "dagster"

    @property
    def dbt_target(self) -> Path:
        """Folder for everything dbt writes besides the marts."""
        return self.home / "dbt"

    @property
    def data_docs(self) -> Path:
        """The documentation of the models, one page; `recsaas docs` writes it and the service shows it."""
        return self.dbt_target / "docs" / "index.html"


def load_settings(home: Path | None = None) -> Settings:
    """Read the environment; `home` overrides `RECSAAS_HOME`. Paths in the result are absolute.

    Raises:
        ConfigurationError: a variable has a value that does not fit.
    """
    try:
        settings = Settings() if home is None else Settings(home=home)
    except ValidationError as error:
        problems = tuple(
            FieldProblem(f"RECSAAS_{'_'.join(str(part) for part in e['loc']).upper()}", e["msg"])
            for e in error.errors()
        )
        listed = "; ".join(f"{p.field}: {p.message}" for p in problems)
        raise ConfigurationError(f"Settings are wrong. {listed}. See docs/settings.md.", details=problems) from error
    return settings.model_copy(
        update={
            "home": _absolute(settings.home),
            "lake": _absolute_lake(settings.lake),
            "database": _absolute_database(settings.database),
            "decisions": _absolute_database(settings.decisions),
        }
    )


def source_of(name: str) -> Literal["file", "environment", "default"]:
    """Return where a setting comes from."""
    variable = _variable(name)
    if name in SECRET_SETTINGS and os.environ.get(f"{variable}_FILE"):
        return "file"
    return "environment" if variable in os.environ else "default"


def _variable(name: str) -> str:
    return f"RECSAAS_{name.upper()}"


# The platform's processes work in another folder than the CLI, and all must mean the same files.
def _absolute(path: Path) -> Path:
    return path.expanduser().absolute()


def _absolute_lake(lake: str) -> str:
    return str(_absolute(Path(lake))) if lake and "://" not in lake else lake


def _absolute_database(url: str) -> str:
    file = url.removeprefix(_SQLITE)
    if file == url or not file or file.startswith(("/", ":memory:", "file:")):
        return url
    return f"{_SQLITE}{_absolute(Path(file))}"
