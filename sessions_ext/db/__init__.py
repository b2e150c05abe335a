"""What the ORM has no words for. Imports nothing of the app and knows none of its columns."""
