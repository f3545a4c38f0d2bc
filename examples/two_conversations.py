"""Two conversations at once, on one bundle: python examples/two_conversations.py

Each has its own thread and its own memory; the engine, which holds the weights, is shared. Both
have an Ann, and neither knows of the other's.
"""

from concurrent.futures import ThreadPoolExecutor

from dcet.runtime import Bundle, Conversation

GOOD_NEWS = [
    ("Ann", "They called! I got the job!"),
    ("Ben", "That is wonderful, congratulations!"),
    ("Ann", "I still cannot believe it. I am so happy!"),
]
BAD_NEWS = [
    ("Ann", "My dog died this morning."),
    ("Cem", "Oh no. I am so sorry."),
    ("Ann", "The house is so empty. I miss him so much."),
]


def follow(bundle: Bundle, lines: list[tuple[str, str]]) -> Conversation:
    conversation = Conversation(bundle)
    for speaker, text in lines:
        conversation.turn(speaker, text)
    return conversation


def main() -> None:
    bundle = Bundle.default()
    with ThreadPoolExecutor() as threads:
        good, bad = threads.map(lambda lines: follow(bundle, lines), (GOOD_NEWS, BAD_NEWS))
    assert good.engine is bad.engine
    for told, conversation in (("good news", good), ("bad news", bad)):
        sentiment = conversation.trajectory("Ann").sentiment
        print(f"{told}: {', '.join(conversation.speakers)};", f"Ann ends at {sentiment[-1]:+.2f}")


if __name__ == "__main__":
    main()
