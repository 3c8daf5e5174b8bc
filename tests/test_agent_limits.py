"""Tasks that cannot be done are declined in one sentence, and no question about documents is."""

import pytest

from engine.agent.limits import declined


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ("Send an e-mail to my landlord that the heating is broken.", "I cannot send messages"),
        ("Call Mum", "I cannot make calls"),
        ("Please book a table for two", "I cannot book"),
        ("Set an alarm for 7 am", "I cannot set alarms"),
        ("Remind me at 5", "I cannot set alarms"),
        ("Delete all files in my downloads folder.", "I cannot change or open files"),
        ("Turn on the lights", "I cannot control devices"),
        ("Play some jazz", "I cannot play"),
        ("Translate 'good morning' into French.", "I cannot translate"),
        ("What's the weather like in Lisbon right now?", "I cannot look up the weather"),
        ("Will it rain tomorrow?", "I cannot look up the weather"),
        ("What will the lottery numbers be next Saturday?", "I cannot know the future"),
        ("Who won the football match last night?", "I cannot look up facts of the present day"),
        ("Convert 100 euros to dollars", "I cannot convert currencies"),
        ("What is my name?", "I know nothing about you"),
        ("Search the web for a hotel in Rome.", "I cannot search the web. A key is missing."),
    ],
)
def test_what_no_tool_can_do_is_declined(task: str, said: str) -> None:
    assert declined(task, web="A key is missing.").startswith(said) or said in declined(
        task, web="A key is missing."
    )


@pytest.mark.parametrize(
    "question",
    [
        "What does the station do in bad weather?",
        "What does the handbook say about the weather?",
        "Is the training cancelled when it rains?",
        "What was the coldest temperature the expedition measured?",
        "What are the call signs of the vehicles?",
        "Who is the president of the association?",
        "What is the price of the Otter rover times 2?",
        "Which rooms does the cleaning plan leave out?",
        "Who sends the invitations to the general assembly?",
        "How do I order a spare part?",
        "What time is it in Tokyo?",
        "Add 17 and 25, then double it",
        "Write a haiku about rain",
        "Hello!",
    ],
)
def test_what_may_be_done_is_not_declined(question: str) -> None:
    assert declined(question, web="A key is missing.") == ""


def test_with_web_search_facts_of_the_world_are_not_declined_and_acts_still_are() -> None:
    assert declined("What's the weather in Lisbon?") == ""
    assert declined("Send an e-mail to my landlord.")
