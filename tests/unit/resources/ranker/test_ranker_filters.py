import pytest

from resources.base.errors import InvalidInput
from resources.ranker.eligibility.filters import Filters, FilterViews
from resources.release.catalogue import Catalogue


@pytest.fixture
def catalogue(shop) -> Catalogue:
    return shop(
        ["a", "b", "c", "d", "e"],
        [[1.0]] * 5,
        category=["Books", " BOOKS ", "Straße", None, "Books"],
        brand=["Acme", "acme", None, "Zed", "Acme"],
        tags=["red|new", "Red", "blue | new", None, "|"],
        price=[10.0, 20.0, None, 0.0, 30.0],
        available=[True, True, None, True, False],
        in_catalogue=[True, True, True, True, True],
        popularity=[1.0, 5.0, None, 5.0, 9.0],
    ).release.catalogue


@pytest.mark.parametrize(
    ("filters", "rows"),
    [
        (Filters(), [0, 1, 2, 3]),
        (Filters(include_unavailable=True), [0, 1, 2, 3, 4]),
        (Filters(category="books "), [0, 1]),
        (Filters(category="STRASSE"), [2]),
        (Filters(category="books", categories=("strasse", "none")), [0, 1, 2]),
        (Filters(category="unknown"), []),
        (Filters(category=""), []),
        (Filters(brand="ACME"), [0, 1]),
        (Filters(brand="ACME", include_unavailable=True), [0, 1, 4]),
        (Filters(tags=("red",)), [0, 1]),
        (Filters(tags=("NEW", "red")), [0, 1, 2]),
        (Filters(tags=("unknown", "")), []),
        (Filters(min_price=0), [0, 1, 3]),
        (Filters(max_price=10), [0, 3]),
        (Filters(min_price=10, max_price=20), [0, 1]),
        (Filters(category="books", brand="acme", tags=("red",), max_price=10), [0]),
    ],
)
def test_all_that_is_given_must_hold(catalogue: Catalogue, filters: Filters, rows: list[int]) -> None:
    assert FilterViews(catalogue).get(filters).mask.nonzero()[0].tolist() == rows


def test_popular_rows_that_tie_come_by_row(catalogue: Catalogue) -> None:
    assert FilterViews(catalogue).get(Filters(include_unavailable=True)).popular.tolist() == [4, 1, 3, 0, 2]


def test_views_are_kept_and_the_oldest_dropped(catalogue: Catalogue) -> None:
    views = FilterViews(catalogue, max_views=2)
    first = views.get(Filters(brand="acme", exclude_ids=("a",)))
    assert views.get(Filters(brand="acme", exclude_ids=("b",))) is first
    views.get(Filters(brand="zed"))
    views.get(Filters(brand="acme"))
    views.get(Filters(brand="other"))
    assert len(views) == 2
    assert views.get(Filters(brand="acme")) is first


def test_views_are_bounded_in_bytes(catalogue: Catalogue) -> None:
    views = FilterViews(catalogue, max_bytes=100)
    for price in range(50):
        views.get(Filters(min_price=price))
    assert views.bytes_in_memory <= 200
    assert len(FilterViews(catalogue, max_bytes=0)) == 0


@pytest.mark.parametrize("prices", [{"min_price": 2, "max_price": 1}, {"min_price": float("nan")}])
def test_prices_that_make_no_sense_are_refused(prices: dict[str, float]) -> None:
    with pytest.raises(InvalidInput) as caught:
        Filters(**prices)
    assert caught.value.details[0].field == "filters.min_price"
