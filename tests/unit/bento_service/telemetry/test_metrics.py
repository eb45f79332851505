from __future__ import annotations

from bento_service.telemetry.metrics import MAX_TENANT_LABELS, Metrics


def test_tenants_beyond_the_limit_share_one_label() -> None:
    metrics = Metrics()
    for n in range(MAX_TENANT_LABELS + 5):
        metrics.events(f"t{n}", 1)
    text = metrics.exposition().decode()
    assert f'recsaas_events_total{{tenant="t{MAX_TENANT_LABELS - 1}"}} 1.0' in text
    assert 'recsaas_events_total{tenant="other"} 5.0' in text


def test_a_made_up_method_is_not_a_label_of_its_own() -> None:
    metrics = Metrics()
    metrics.request(method="HACK", route="unmatched", status=405, seconds=0.1, tenant=None)
    assert 'method="other"' in metrics.exposition().decode()
