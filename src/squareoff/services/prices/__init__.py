"""From the feed to a fired rule: prices, their age, and what they move."""
