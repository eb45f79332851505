"""The code location: every asset, check, job and sensor that lies in `defs`, and the resources that they take."""

from dagster import in_process_executor, load_definitions_from_package_name

from resources.dagster_resources import PlatformResource, TenantRunResource
from resources.processes.process import begin_process

begin_process()  # whoever loads this: the code server, a run, `dagster dev`

platform = PlatformResource()

# A preview in the pinned Dagster, which the pin makes harmless: definitions are found by their folder.
defs = load_definitions_from_package_name(
    "recsaas_assets.defs",
    resources={"platform": platform, "tenant_run": TenantRunResource(platform=platform)},
    # One process per run: a step costs milliseconds instead of seconds, and the tenant's lock is held throughout.
    executor=in_process_executor,
)
