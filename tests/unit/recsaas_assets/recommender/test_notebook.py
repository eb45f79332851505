"""The notebook runs from its first cell to its last, with the plain Python parts alone, and is kept without outputs."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

DOCS = Path(__file__).parents[4] / "docs"
NOTEBOOK = DOCS / "notebooks" / "recommender.ipynb"
LATE = """
import sys
unwanted = {"dagster", "dbt", "bentoml", "fastapi", "sqlalchemy", "bento_service"}
sorted(unwanted & {name.split(".")[0] for name in sys.modules})
"""


@pytest.fixture
def notebook() -> nbformat.NotebookNode:
    return nbformat.read(NOTEBOOK, as_version=4)


def shown(cell: nbformat.NotebookNode) -> str:
    """What a cell has printed and displayed, as text."""
    texts = [each.get("text", "") + "".join(map(str, each.get("data", {}).values())) for each in cell.outputs]
    return "".join(texts)


@pytest.mark.e2e
def test_it_runs_from_a_csv_to_a_saved_model(
    notebook: nbformat.NotebookNode, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):  # beside other tests more threads only wait for each other
        monkeypatch.setenv(name, "1")
    notebook.cells.append(nbformat.v4.new_code_cell(LATE))
    client = NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(NOTEBOOK.parent)}})
    manager = client.create_kernel_manager()  # whose sockets lie in a folder: no ports that others can reach
    manager.transport, manager.ip = "ipc", str(tmp_path_factory.mktemp("k") / "s")
    done = client.execute()
    code = [cell for cell in done.cells if cell.cell_type == "code"]
    assert shown(code[-1]) == "[]"  # neither Dagster, dbt, the service nor a database was imported
    outputs = "\n".join(shown(cell) for cell in code)
    pictures = [each for cell in code for each in cell.outputs if "image/png" in each.get("data", {})]
    assert len(pictures) == 2
    ndcg = {model: float(value) for model, value in re.findall(r"\| (\w+) \| (0\.\d{4}) \(", outputs)[:4]}
    assert list(ndcg) == ["lightgcn", "popularity", "item_knn", "ease"]
    assert ndcg["lightgcn"] > ndcg["popularity"] > 0
    for said in ("LightGCN minus", "because of", "lies near"):
        assert said in outputs


def test_it_is_kept_without_what_a_run_leaves(notebook: nbformat.NotebookNode) -> None:
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(code) > 15
    for cell in code:
        assert cell.outputs == [] and cell.execution_count is None
        assert cell.metadata == {}, "a front end left its own notes in a cell"
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert notebook.metadata.kernelspec.name == "python3"
    assert notebook.metadata.language_info == {"name": "python"}


def test_its_links_lead_somewhere_and_the_page_of_models_leads_to_it(notebook: nbformat.NotebookNode) -> None:
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    links = re.findall(r"\]\(([^)#]+)", text)
    assert links and all((NOTEBOOK.parent / link).is_file() for link in links)
    assert "(notebooks/recommender.ipynb)" in (DOCS / "models.md").read_text(encoding="utf-8")
