"""Releases packed with the service, by `recsaas package`: where they lie, and how a service takes them over.

    packaged/package.json     what was packed, and when
             lake/            a lake with the live release of each tenant; nothing is written into it
             control.db       the tenants, their rules, their changes of items, and the hashes of their keys

The folder lies beside the sources, so that it is found wherever a Bento is unpacked.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import structlog
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from resources.base.errors import ConfigurationError
from resources.base.settings import Settings
from resources.base.tenant import TenantId
from resources.control_db.copies import take_over
from resources.control_db.engine import ControlDb, open_control_db
from resources.release.folder import locked
from resources.storage.disk import copy_file, work_folder, written_whole

FOLDER = "packaged"
CONTENTS, LAKE, CONTROL_DB = "package.json", "lake", "control.db"
_TAKEN_OVER = "package.id"
_log = structlog.get_logger("recsaas.packaged")


class PackageContents(BaseModel):
    """The contents of a package: `releases` are versions by tenant, `keys` says whether the tenants' keys are in it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    made_at: AwareDatetime
    releases: dict[str, str]
    keys: bool
    event_watermark: int = Field(ge=0)
    item_watermark: int = Field(ge=0)

    @property
    def numbers(self) -> dict[str, int]:
        """The number, by table, above which the service that holds the package has to go on counting."""
        return {"events": self.event_watermark, "item_changes": self.item_watermark}


@dataclass(frozen=True, slots=True)
class Package:
    """A package on this machine."""

    folder: Path
    contents: PackageContents

    @classmethod
    def beside_sources(cls, root: Path = Path(__file__).parents[2]) -> Package | None:
        """Return the package that lies beside the sources; `None` when there is none, as in a checkout.

        Raises:
            ConfigurationError: there is one, and it cannot be read.
        """
        folder = root / FOLDER
        if not folder.is_dir():
            return None
        try:
            contents = PackageContents.model_validate_json((folder / CONTENTS).read_bytes())
        except (OSError, ValidationError) as error:
            raise ConfigurationError(
                f"{FOLDER}/{CONTENTS} is missing or cannot be read. Build the Bento again with `recsaas package`."
            ) from error
        return cls(folder, contents)

    @property
    def lake(self) -> Path:
        """The lake in the package."""
        return self.folder / LAKE

    def hand_over(self, settings: Settings, db: ControlDb) -> None:
        """Write the package's tenants and keys into the service's own control DB, once for each package.

        A service whose database or lake was chosen (`RECSAAS_DATABASE`, `RECSAAS_LAKE`) is left alone. Workers that
        start together take turns.
        """
        if settings.database or settings.lake != str(self.lake):
            return
        taken = settings.home / _TAKEN_OVER
        with locked(settings.scratch), work_folder(settings.scratch, "package") as work:
            if taken.exists() and taken.read_text(encoding="utf-8") == self.contents.id:
                return
            copy_file(self.folder / CONTROL_DB, work / CONTROL_DB)  # the package may lie where nothing can be written
            source = open_control_db(f"sqlite:///{work / CONTROL_DB}", migrate=False)
            try:
                tenants = [TenantId(name) for name in self.contents.releases]
                take_over(source, db, tenants, keys=self.contents.keys, numbers=self.contents.numbers)
            finally:
                source.close()
            with written_whole(taken) as beside:
                beside.write_text(self.contents.id, encoding="utf-8")
        _log.info("package_taken_over", package=self.contents.id, tenants=len(tenants))


def packaged_settings(settings: Settings, package: Package | None) -> Settings:
    """Return the settings of a service that serves the package, unless `RECSAAS_LAKE` names another lake."""
    if package is None or settings.lake:
        return settings
    return settings.model_copy(update={"lake": str(package.lake), "lake_read_only": True})
