"""A row for every login, and one revoke that ends it everywhere."""
