"""What is shown of a translation, read back."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from nmt import alignment
from nmt.explanation import Explanation

EXPLANATION = Explanation(
    ["the", "white", "house"],
    ["das", "weiße", "家"],
    np.array([[0.9, 0.1, 0.0], [0.0, 0.5, 0.5], [0.2, 0.3, 0.5]]),
    np.array([0.95, 0.4, 0.625]),
)


def test_the_terminal_shows_a_row_a_word():
    lines = str(EXPLANATION).splitlines()
    assert lines[0].split() == ["1", "2", "3"]
    assert lines[1] == "das    " + "███         " + " 0.95"
    assert lines[2] == "weiße  " + "    ▒▒▒ ▒▒▒ " + " 0.40"
    assert lines[3] == "家     " + "░░░ ░░░ ▒▒▒ " + " 0.62"  # its one letter takes two columns
    assert lines[-1] == "1 the  2 white  3 house"


class Reader(HTMLParser):
    """The tags of a page, and what stands in its script."""

    def __init__(self):
        super().__init__()
        self.tags, self.script = [], ""

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        if self.tags and self.tags[-1][0] == "script":
            self.script += data


def test_the_page_holds_everything_and_needs_nothing():
    odd = EXPLANATION._replace(source=["</script><b>", "&amp;", "{}"], target=["<i>", '"', "\u2028"])
    for one in (EXPLANATION, odd):
        page = Reader()
        page.feed(one.page())
        told = json.loads(re.search(r"const told = (.*);", page.script)[1])
        assert (told["source"], told["target"]) == (one.source, one.target)
        np.testing.assert_allclose(told["attention"], one.attention)
        np.testing.assert_allclose(told["probabilities"], one.probabilities)
        assert not {"src", "href"} & {name for _, attributes in page.tags for name in attributes}
        assert {tag for tag, _ in page.tags} <= {"html", "meta", "title", "style", "h2", "p", "br", "small", "script"}


@pytest.mark.parametrize(("ending", "begins"), [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF")])
def test_a_picture_is_drawn_by_its_ending(tmp_path, ending, begins):
    path = tmp_path / f"picture{ending}"
    EXPLANATION._replace(target=["das", "weiße", "haus"]).draw(path)
    assert path.read_bytes().startswith(begins)


def test_the_probability_of_a_word_is_the_mean_of_its_pieces():
    values = np.log([0.5, 0.9, 0.1, 0.25, 0.7])  # the last is the end
    means = np.exp(alignment.mean_of_words(["▁das", "▁", "wei", "ße"], values))
    np.testing.assert_allclose(means, [0.5, (0.9 * 0.1 * 0.25) ** (1 / 3)])
