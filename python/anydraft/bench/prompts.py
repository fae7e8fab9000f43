"""Prompts for the benches: prose, code and multilingual, written for this project."""

from __future__ import annotations

PROMPTS: dict[str, list[str]] = {
    "prose": [
        "The history of the lighthouse begins long before electricity. On dark coasts, people lit",
        "When Anna opened the letter, her hands were shaking. The first line said that",
        "To bake a simple loaf of bread you need flour, water, salt and yeast. First, mix",
        "The committee met on Tuesday to discuss the new library. After a long debate, the members",
        "Photosynthesis is the process by which green plants use sunlight to",
        "In the spring of 1848, revolutions broke out in many European cities. The people wanted",
        "My grandfather used to say that the sea has no memory. Every morning he would",
        "The main difference between a virus and a bacterium is that",
    ],
    "code": [
        "def quicksort(items):\n    if len(items) <= 1:\n        return items\n    pivot = items[0]\n",
        "import json\n\n\ndef read_config(path):\n    with open(path) as file:\n        config = ",
        "class Node:\n    def __init__(self, value):\n        self.value = value\n"
        "        self.next = None\n\n\n"
        "class LinkedList:\n    def __init__(self):\n        self.head = None\n\n"
        "    def append(self, value):\n",
        "for i in range(len(matrix)):\n    for j in range(len(matrix[i])):\n        if matrix[i][j] == 0:\n",
        "#include <stdio.h>\n\nint main(void) {\n    int sum = 0;\n    for (int i = 0; i < 10; i++) {\n",
        "function fetchUser(id) {\n  return fetch(`/api/users/${id}`)\n    .then((response) => {\n",
        "fn main() {\n    let numbers = vec![1, 2, 3, 4];\n    let total: i32 = numbers\n        .iter()\n",
        "SELECT customers.name, SUM(orders.total) AS spent\nFROM customers\n    JOIN orders ON",
    ],
    "multilingual": [
        "La Révolution française commence en 1789, lorsque le peuple de Paris",
        "Die Stadt Köln liegt am Rhein und ist bekannt für ihren Dom. Im Mittelalter",
        "El cambio climático es uno de los mayores problemas de nuestro tiempo. Los científicos",
        "Il caffè è una bevanda molto amata in Italia. La mattina, gli italiani",
        "日本の四季はとても美しいです。春には桜が咲き、",
        "中国的长城是世界上最著名的建筑之一，它",
        "Москва является столицей России и крупнейшим городом",
        "O Brasil é o maior país da América do Sul. A sua população",
    ],
}
