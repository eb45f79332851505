"""What a request may be made of: levels of JSON, parts of a form, and text in a packed file."""

from __future__ import annotations

import gzip
import json
from contextlib import suppress
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bento_service.http.body_text import MAX_DEPTH, check_depth
from bento_service.http.errors import NestedTooDeep
from bento_service.http.multipart import MAX_PARTS
from resources.base.errors import UploadRefused
from resources.uploads.parsing.uploaded_file import FREE_TEXT_BYTES, LimitedStream, identify
from tests.unit.bento_service.client import Client
from tests.unit.bento_service.shop import Shop

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet='[]{}"\\ab', max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(alphabet='[]{}"\\a', max_size=3), inner),
    max_leaves=40,
)


def deep(levels: int, inner: object = 1) -> bytes:
    """JSON that nests so many levels, lists and objects in turn, with brackets in strings beside them."""
    value = inner
    for level in range(levels):
        value = [value, "]}[{"] if level % 2 else {"a]": value}
    return json.dumps(value).encode()


@pytest.mark.parametrize("levels", [1, MAX_DEPTH - 1, MAX_DEPTH])
def test_what_is_as_deep_as_allowed_passes(levels: int) -> None:
    check_depth(deep(levels))


@pytest.mark.parametrize("levels", [MAX_DEPTH + 1, 100, 5_000])
def test_what_is_deeper_is_refused(levels: int) -> None:
    text = deep(min(levels, 400)) if levels < 1_000 else b"[" * levels + b"]" * levels
    with pytest.raises(NestedTooDeep):
        check_depth(text)
    with pytest.raises(NestedTooDeep):
        check_depth(b'["\\"]", [], ' + text + b"]")


@pytest.mark.parametrize(
    ("start", "piece"),
    [(b"[" * 65 + b'"', b'\\"'), (b"[" * 65 + b'"', b"\\"), (b"[" * 65, b'"'), (b"", b"[" * 64 + b"]" * 64)],
)
def test_the_time_grows_with_the_length_alone(start: bytes, piece: bytes) -> None:
    """Four times the text takes four times as long, not sixteen times; what follows is of the size of a real body."""

    def took(size: int) -> float:
        text = start + piece * (size // len(piece))
        times = []
        for _ in range(5):
            began = process_time()
            with suppress(NestedTooDeep):
                check_depth(text)
            times.append(process_time() - began)
        return min(times)

    small, larger = took(16_384), took(65_536)
    assert larger < 9 * small + 0.002, (small, larger)  # 2 ms: what a clock may be wrong by
    assert took(1_048_576) < 60 * larger + 0.05  # quadratic would be 256 times


@given(value=_JSON, levels=st.integers(0, MAX_DEPTH + 10))
def test_the_depth_is_that_of_the_parsed_value(value: object, levels: int) -> None:
    text = deep(levels, value)
    if _depth(json.loads(text)) > MAX_DEPTH:
        with pytest.raises(NestedTooDeep):
            check_depth(text)
    else:
        check_depth(text)


def test_every_route_that_reads_json_refuses_what_is_too_deep(client: Client, blue: Shop) -> None:
    body = b'{"user_id":"u1","context":{"page":' + deep(MAX_DEPTH) + b"}}"
    for path in ("/api/v1/recommendations", "/api/v1/interactions", "/api/v1/items", "/api/v1/train"):
        answer = client.post(path, content=body, headers={**blue.headers, "Content-Type": "application/json"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "nested_too_deep"), path


def test_many_events_that_are_flat_pass(client: Client, blue: Shop) -> None:
    event = {"user_id": "u1", "item_id": "b1", "interaction_type": "view", "metadata": {"a": [[], {}]}}
    answer = client.post("/api/v1/interactions", json={"events": [event] * 200}, headers=blue.headers)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(("parts", "status"), [(MAX_PARTS - 1, 200), (MAX_PARTS, 400)])
def test_a_form_has_so_many_parts(client: Client, blue: Shop, parts: int, status: int) -> None:
    rows = "user_id,item_id,interaction_type,timestamp\nu1,b1,view,2024-05-01\n"
    answer = client.post(
        "/api/v1/upload/interactions?validate_only=true",
        files={"file": ("x.csv", rows)},
        data={f"field{number}": "x" for number in range(parts)},
        headers=blue.headers,
    )
    assert answer.status_code == status, answer.text


@pytest.mark.parametrize("headers", ["X-A: 1\r\n" * 9, f"X-A: {'a' * 9000}\r\n"])
def test_a_part_has_so_many_headers(client: Client, blue: Shop, headers: str) -> None:
    head = 'Content-Disposition: form-data; name="file"; filename="x.csv"\r\n'
    body = f"--b\r\n{head}{headers}\r\nitem_id,title\ni1,One\n\r\n--b--\r\n".encode()
    sent = {**blue.headers, "Content-Type": "multipart/form-data; boundary=b"}
    answer = client.post("/api/v1/upload/items", content=body, headers=sent)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "malformed_request")


def test_a_packed_file_with_far_too_much_text_is_refused_before_it_is_unpacked() -> None:
    row = b"u1,i1,view,2024-05-01\n"
    text = b"user_id,item_id,interaction_type,timestamp\n" + row * (2 * FREE_TEXT_BYTES // len(row))
    packed = gzip.compress(text, 9)
    assert len(text) > 200 * len(packed)
    file = identify(packed, filename="x.csv.gz", max_bytes=1 << 30)
    read = 0
    with file.open() as raw, pytest.raises(UploadRefused) as refused:
        stream = LimitedStream(raw, file=file, max_bytes=1 << 30)
        while data := stream.read(1 << 20):
            read += len(data)
    assert refused.value.reason == "compressed_too_much"
    assert read <= FREE_TEXT_BYTES < len(text)


def test_a_small_file_may_be_packed_as_well_as_it_goes() -> None:
    packed = gzip.compress(b"a" * FREE_TEXT_BYTES, 9)
    file = identify(packed, filename="x.csv.gz", max_bytes=1 << 30)
    with file.open() as raw:
        assert len(LimitedStream(raw, file=file, max_bytes=1 << 30).read(-1)) == FREE_TEXT_BYTES


def _depth(value: object) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(_depth, inner), default=0)
