"""The newcomer's journey by the commands of the README, on a small shop: twice in a row, on busy ports."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e
RECSAAS = Path(sys.executable).with_name("recsaas")


def recsaas(home: Path, *arguments: str, ports: tuple[int, int] = (0, 0)) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "RECSAAS_HOME": str(home),
        "RECSAAS_SERVICE_PORT": str(ports[0]),
        "RECSAAS_DAGSTER_PORT": str(ports[1]),
    }
    return subprocess.run([RECSAAS, *arguments], env=environment, capture_output=True, text=True, timeout=900)


def json_of(output: str) -> dict:
    """The JSON object that the demo prints among its lines."""
    start = output.index("\n{") + 1 if not output.startswith("{") else 0
    body, _ = json.JSONDecoder().raw_decode(output[start:])
    assert isinstance(body, dict)
    return body


def test_demo_twice_then_questions_by_the_command_line(tmp_path: Path) -> None:
    home, shop = tmp_path / "home", tmp_path / "Blue Shop"
    size = ("--users", "300", "--items", "80", "--interactions", "4000")
    assert recsaas(home, "sample", *size, "--out", str(shop)).returncode == 0
    with socket.socket() as busy, socket.socket() as busy_too:
        for taken in (busy, busy_too):
            taken.bind(("127.0.0.1", 0))
            taken.listen()
        ports = (busy.getsockname()[1], busy_too.getsockname()[1])
        for _ in range(2):
            demo = recsaas(home, "demo", "--once", "--dataset", str(shop), ports=ports)
            assert demo.returncode == 0, demo.stdout + demo.stderr
            answer = json_of(demo.stdout)
            assert len(answer["recommendations"]) == 10
            assert all(item["title"] and 0 <= item["score"] <= 1 for item in answer["recommendations"])
            assert "curl" in demo.stdout
            assert not any(re.search(rf":{port}\b", demo.stdout) for port in ports)
    assert not processes_of(home)

    releases = json.loads(recsaas(home, "releases", "list", "blue-shop", "--json").stdout)["releases"]
    assert [r["live"] for r in releases] == [True, False]
    evaluation = json.loads(recsaas(home, "evaluate", "blue-shop", "--json").stdout)
    for model in ("lightgcn", "popularity"):
        assert {"ndcg@10", "recall@20"} <= set(evaluation["models"][model])
    user = json.loads(recsaas(home, "recommend", "blue-shop", "nobody", "-k", "3", "--json").stdout)
    assert user["metadata"]["fallback_reason"] == "unknown_user"
    assert len(user["recommendations"]) == 3
    rolled = recsaas(home, "releases", "rollback", "blue-shop", "--yes", "--json")
    assert json.loads(rolled.stdout)["live"] == releases[1]["version"]

    unknown = tmp_path / "unknown.csv"
    unknown.write_text("user_id,item_id,interaction_type,timestamp\nu,i,stared_at,2026-01-01T00:00:00Z\n")
    refused = recsaas(home, "upload", "blue-shop", "interactions", str(unknown), "--json")
    assert refused.returncode == 1
    assert "add_to_cart" in json.loads(refused.stdout)["validation_errors"][0]["error"]
    assert recsaas(home, "recommend", "blue-shop", "nobody", "--json").returncode == 0

    recsaas(home, "tenant", "create", "empty-shop")
    backfill = recsaas(home, "backfill", "--all", "--json")
    assert backfill.returncode == 1
    runs = {run["tenant"]: run for run in json.loads(backfill.stdout)["runs"]}
    assert runs["blue-shop"]["success"]
    assert "recsaas upload empty-shop interactions" in runs["empty-shop"]["message"]
    doctor = recsaas(home, "doctor", "--json")
    assert json.loads(doctor.stdout)["healthy"], doctor.stdout


def processes_of(home: Path) -> list[str]:
    """Command lines of processes that still work on `home`."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            environment = (folder / "environ").read_bytes()
        except OSError:
            continue
        if str(home).encode() in environment:
            found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
    return found
