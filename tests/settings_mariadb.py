"""The test settings on MariaDB, which the tests start by themselves: pytest --ds=tests.settings_mariadb"""

from tests import mariadb

mariadb.url()

from tests.settings import *  # noqa: E402, F403
