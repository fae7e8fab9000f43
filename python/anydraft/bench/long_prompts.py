"""Prompts that hold the text they ask about: summarising, editing, long context; written for this project."""

from __future__ import annotations

ARTICLES = [
    "The harbour bridge of Lindholm was closed to all traffic on Monday morning after engineers found "
    "cracks in two of its main cables. The bridge, which was opened in 1962, carries about forty "
    "thousand vehicles a day. Maria Sandberg, the head of the city's engineering office, said that "
    "the cracks were found during a routine inspection and that there was no immediate danger. The "
    "office decided to close the bridge because the winter storms expected later this week could put "
    "more load on the damaged cables. Ferries will carry passengers across the harbour every fifteen "
    "minutes, and trucks will be sent over the northern road, which adds about thirty kilometres to "
    "the journey. The repair is expected to take six weeks and to cost four million euros. Shop "
    "owners on the western side of the harbour fear that they will lose customers before the "
    "holidays. The city council will meet on Thursday to discuss help for the shops and a new date "
    "for the inspection of the railway bridge, which was built in the same year by the same company.",
    "Researchers at the marine station of Port Elena have followed a group of sixty sea turtles for "
    "eleven years and found that the animals return to the same beaches at almost the same day of the "
    "year. The turtles carry small transmitters on their shells, which send their position whenever "
    "they come up to breathe. According to the study, which was published on Friday, the turtles "
    "travel more than two thousand kilometres between the places where they feed and the beaches "
    "where they lay their eggs. The scientists believe that the animals use the magnetic field of the "
    "earth to find their way. When the sand of one beach was moved for a new hotel, nine of the "
    "turtles swam along the coast for three weeks and then laid their eggs on a beach that they had "
    "never visited before. Only two of them came back to that beach in the following year. The leader "
    "of the study, Doctor Amara Obi, said that the result shows how important it is to protect the "
    "old beaches, because the turtles do not easily accept new ones.",
    "The public library of Westbrook will stay open until midnight from the first of March. The "
    "decision follows a trial of three months in which the number of visitors in the evening was four "
    "times as high as the library had expected. Most of the visitors were students of the technical "
    "college, but there were also many parents who came after their children had gone to bed. The "
    "library will hire five more people and will close one of its two reading rooms in the morning, "
    "when few visitors come. The director of the library, Tom Halloran, said that the cost of the "
    "longer hours is about ninety thousand dollars a year, half of which will be paid by the college. "
    "A café on the ground floor will sell tea, coffee and sandwiches until eleven. Neighbours who "
    "feared noise at night were told that the entrance on Mill Street will be closed after nine, and "
    "that visitors will have to use the entrance on the market square.",
    "A heavy snowfall stopped all trains in the valley of the Aren for two days. More than eight "
    "hundred travellers spent the first night in the school of the village of Sarn, where the "
    "inhabitants brought blankets, soup and bread. The railway company said that an avalanche had "
    "buried the tracks over a length of two hundred metres and that the machines which clear the snow "
    "could not reach the place from the south. On the second day an army helicopter took twelve "
    "people who needed medical care to the hospital in the town of Breg. The mayor of Sarn, Lucia "
    "Ferrand, thanked the inhabitants of the village and asked the railway company to build a second "
    "wall above the tracks, which she had already asked for after the avalanche of 2014. The company "
    "answered that the wall is planned and that work will begin in the summer. The first train "
    "reached Sarn on Wednesday evening, and the last travellers left the village on Thursday morning.",
]

CODE = '''class Inventory:
    """Items of a shop, with their prices and how many are left."""

    def __init__(self):
        self.items = {}
        self.prices = {}

    def add_item(self, name, price, count):
        if count < 0:
            raise ValueError("count must not be negative")
        self.items[name] = self.items.get(name, 0) + count
        self.prices[name] = price

    def remove_item(self, name, count):
        if name not in self.items:
            raise KeyError(name)
        if self.items[name] < count:
            raise ValueError("not enough items")
        self.items[name] = self.items[name] - count

    def total_value(self):
        total = 0
        for name, count in self.items.items():
            total = total + count * self.prices[name]
        return total
'''

SUMMARISING = [
    f"Article:\n{article}\n\nThe article again, sentence by sentence, with the main points marked:\n\n1. "
    for article in ARTICLES
]

EDITING = [
    f"Here is a Python file:\n\n```python\n{CODE}```\n\nThe same with type hints added:\n\n```python\n",
    f"Text: {ARTICLES[0]}\n\nThe same text, with numbers written as digits:\n\nText: ",
    f"Here is a Python file:\n\n```python\n{CODE}```\n\nThe same, `items` renamed to `stock`:\n\n```python\n",
    f"Text: {ARTICLES[2]}\n\nThe same text, corrected:\n\nText: ",
]

LONG = [
    "\n\n".join([*ARTICLES[i:], *ARTICLES[:i], CODE if i % 2 else ""]).strip() + "\n\n" + question
    for i, question in enumerate(
        (
            "Question: Why was the harbour bridge closed?\nAnswer: The harbour bridge",
            "Now a function that prints all items of an inventory:\n\ndef print_items(inventory):\n",
            "Question: What did the mayor of Sarn ask for?\nAnswer: The mayor of Sarn",
            "Now a test of the class Inventory:\n\ndef test_add_item():\n",
        )
    )
]
