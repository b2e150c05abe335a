"""What the ORM cannot express. Imports nothing of the app and knows none of its columns."""
