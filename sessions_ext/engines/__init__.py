"""Django's session engines, but that they give out the data of a login only after its row was verified:
SESSION_ENGINE = "sessions_ext.engines.db". The same tables and the same keys: nobody is logged out."""
