"""What a speech recogniser makes of a text."""

from random import Random

from dcet.training.augment.text_errors import Recogniser

SAID = "Well, I love to read those romantic novels; don't you?"


def test_punctuation_goes_but_for_now_and_then() -> None:
    recogniser = Recogniser([SAID])
    written = [recogniser.write(SAID, Random(seed)) for seed in range(400)]
    with_punctuation = sum(any(sign in text for sign in ",;?") for text in written) / len(written)
    assert 0.15 < with_punctuation < 0.35
    assert all(text == text.lower() for text in written)
    assert any("don't" in text for text in written)


def test_words_are_taken_for_such_as_look_alike() -> None:
    recogniser = Recogniser([SAID, "noses needs"])
    written = {
        word for seed in range(400) for word in recogniser.write("novels", Random(seed)).split()
    }
    assert written >= {"novels"}
    assert written <= {"novels", "noses", "needs"}  # first and last letter, and length


def test_a_third_of_the_words_is_wrong_at_most() -> None:
    text = " ".join(f"word{n}" for n in range(200))
    recogniser = Recogniser([text])
    for seed in range(50):
        written = recogniser.write(text, Random(seed)).split()
        assert len(set(text.split()) & set(written)) > 120
        assert abs(len(written) - 200) < 40


def test_the_errors_are_the_seeds_and_something_is_left() -> None:
    recogniser = Recogniser([SAID])
    assert recogniser.write(SAID, Random(1)) == recogniser.write(SAID, Random(1))
    assert recogniser.write(SAID, Random(1)) != recogniser.write(SAID, Random(2))
    assert all(recogniser.write("no", Random(seed)) for seed in range(200))
    assert recogniser.write("...", Random(0)) == "..."
