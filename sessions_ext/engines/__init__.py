"""Django's session engines, which give out the data of a login only after verifying its row: SESSION_ENGINE
= "sessions_ext.engines.db". They use the same tables and keys, so nobody is logged out."""
