"""What the demo's visitors look at: sessions of a public file, or made-up ones of the same shape."""

from collections import Counter
from pathlib import Path

import pytest

from services.demo import browsing, retail
from services.demo.run import DATA

needs_clicks = pytest.mark.skipif(
    not (DATA.parent / browsing.CLICKS).exists(),
    reason="the sessions of a public file are not beside the checkout",
)
SHOP = retail.generate(200)


def write(folder: Path, *lines: str) -> Path:
    import gzip

    (folder / "clicks").mkdir()
    header = "user_id,session_id,event,timestamp,platform\n"
    with gzip.open(folder / browsing.CLICKS, "wt", encoding="utf-8") as file:
        file.write(header + "\n".join(lines) + "\n")
    return folder


def test_what_is_done_on_a_page_belongs_to_the_page_and_a_checkout_is_never_looked_at(tmp_path: Path) -> None:
    """No snippet is on the pages of a checkout: what happens there is an order's."""
    said = browsing.read(
        write(
            tmp_path,
            "u,s1,home,2024-03-13 10:00:00,desktop",
            "u,s1,product_view,2024-03-13 10:00:20,desktop",
            "u,s1,add_to_cart,2024-03-13 10:01:00,desktop",
            "u,s1,shipping_details,2024-03-13 10:01:30,desktop",
            "u,s1,purchase,2024-03-13 10:02:00,desktop",
            "u,s2,purchase,2024-03-13 10:02:00,desktop",
        ),
        SHOP,
        10,
    )
    (visit,) = said.visits
    assert [view.path for view in visit] == ["/", f"/p/{visit[1].item}"]
    assert visit[1].done == ("add_to_cart",)
    assert [view.seconds for view in visit] == [20, 70]
    assert visit[1].item in {line.sku for each in SHOP.purchases for line in each.lines}


def test_whoever_comes_back_after_an_hour_was_away(tmp_path: Path) -> None:
    folder = write(tmp_path, "u,s,home,2024-03-13 10:00:00,d", "u,s,cart,2024-03-13 12:00:00,d")
    assert browsing.read(folder, SHOP, 1).visits[0][0].seconds == browsing.LONGEST_SECONDS


@needs_clicks
def test_the_file_gives_crowds_and_rarities() -> None:
    """Some products and searches have many visitors and others one: both are needed to show what is published."""
    said = browsing.read(DATA.parent, SHOP, 300)
    assert len(said.visits) > 280 and said == browsing.read(DATA.parent, SHOP, 300)
    for seen in ("item", "term"):
        visitors = Counter(
            each for visit in said.visits for each in {getattr(view, seen) for view in visit} if each
        )
        assert visitors.most_common(1)[0][1] >= 20 and min(visitors.values()) < 5


def test_made_up_visits_are_the_same_every_time_and_of_the_same_shape() -> None:
    said = browsing.generate(SHOP, 200)
    assert said == browsing.generate(SHOP, 200)
    assert len(said.visits) > 180 and 3 < said.views / len(said.visits) < 12
    assert {"/", "/search", "/catalog"} < {view.path for visit in said.visits for view in visit}
    assert any(view.done for visit in said.visits for view in visit)
