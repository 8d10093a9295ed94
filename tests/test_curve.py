"""The picture of a training."""

import struct

from nmt import curve


def history(bleu: float) -> list[dict[str, float]]:
    return [
        {"update": 10, "perplexity": 100.0, "bleu": 0.0},
        {"update": 20, "perplexity": 10.0, "bleu": bleu},
    ]


def test_the_picture_is_a_png_of_the_stated_size() -> None:
    picture = curve.draw(history(20.0), "a run")
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack(">II", picture[16:24]) == (7 * 120, 4 * 120)


def test_the_same_history_gives_the_same_picture_and_another_another() -> None:
    assert curve.draw(history(20.0), "a run") == curve.draw(history(20.0), "a run")
    assert curve.draw(history(20.0), "a run") != curve.draw(history(30.0), "a run")
    assert curve.draw(history(20.0), "a run") != curve.draw(history(20.0), "another run")


def test_a_single_validation_can_be_drawn() -> None:
    assert curve.draw(history(20.0)[:1], "a run").startswith(b"\x89PNG")
