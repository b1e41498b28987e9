"""Publication and reports of tables that the page writes."""

from __future__ import annotations

import time

from pcip_assets.browse.publishing import Publisher
from pcip_core.errors import StoreError


def until(condition) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_changes_in_quick_succession_are_published_once_and_reported_later() -> None:
    done: list[object] = []
    publisher = Publisher(lambda: done.append("published"), done.append, quiet_s=0.1, reported_after_s=0.3)
    publisher.changed("labels_a")
    publisher.changed("predictions_a")
    assert publisher.state() == {"pending": True, "problem": None}
    until(lambda: len(done) == 2)
    assert done == ["published", ["labels_a", "predictions_a"]]
    publisher.close()
    assert len(done) == 2


def test_what_is_left_is_published_and_reported_at_the_end() -> None:
    done: list[object] = []
    publisher = Publisher(lambda: done.append("published"), done.append, quiet_s=99)
    publisher.changed("labels_a")
    publisher.close()
    assert done == ["published", ["labels_a"]]


def test_a_publication_that_fails_is_said_until_one_succeeds() -> None:
    full = [True]

    def publish() -> None:
        if full.pop() if full else False:
            raise StoreError("file", found="a full disk", required="space", remedy="Free some.")

    publisher = Publisher(publish, lambda tables: None, quiet_s=0.01)
    publisher.changed("labels_a")
    until(lambda: publisher.state()["problem"] == "file: found a full disk; required: space. Free some.")
    publisher.changed("labels_a")
    until(lambda: publisher.state() == {"pending": False, "problem": None})
    publisher.close()


def test_a_report_does_not_hide_that_the_publication_failed() -> None:
    reported: list[object] = []

    def publish() -> None:
        raise StoreError("file", found="a full disk", required="space", remedy="Free some.")

    publisher = Publisher(publish, reported.append, quiet_s=0.01, reported_after_s=0.02)
    publisher.changed("labels_a")
    publisher.close()
    assert reported == [["labels_a"]]
    assert "a full disk" in str(publisher.state()["problem"])


def test_what_a_killed_page_has_left_is_published_by_the_next() -> None:
    done: list[object] = []
    publisher = Publisher(lambda: done.append("published"), done.append, quiet_s=0.01, reported_after_s=0.01)
    publisher.refresh()
    until(lambda: done == ["published"])
    publisher.close()
    assert done == ["published"]
