"""A list that is brought into order moves no element that is where it belongs."""

import pytest
from playwright.sync_api import Page

MOVED = """async ([before, after]) => {
  const { keep } = await import("/dashboard/dom.js");
  const list = document.createElement("ul");
  const how = {
    key: (name) => name,
    make: (name) => Object.assign(document.createElement("li"), { textContent: name }),
    update: () => {},
  };
  keep(list, before, how);
  const watch = new MutationObserver(() => {});
  watch.observe(list, { childList: true });
  keep(list, after, how);
  const touched = new Set();
  for (const { addedNodes, removedNodes } of watch.takeRecords()) {
    for (const node of [...addedNodes, ...removedNodes]) touched.add(node.textContent);
  }
  return { shown: [...list.children].map((each) => each.textContent), touched: [...touched] };
}"""


@pytest.mark.parametrize(
    ("before", "after", "touched"),
    [
        ("abcdef", "bcdef", "a"),
        ("abcdef", "abdf", "ce"),
        ("abc", "abc", ""),
        ("bcd", "abcd", "a"),
        ("abc", "bca", "bc"),
        ("", "ab", "ab"),
    ],
)
def test_only_what_left_came_or_moved_is_touched(
    page: Page, before: str, after: str, touched: str
) -> None:
    """A row that goes does not move all those after it; the order is right all the same."""
    found = page.evaluate(MOVED, [list(before), list(after)])

    assert "".join(found["shown"]) == after
    assert "".join(sorted(found["touched"])) == touched
