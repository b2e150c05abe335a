import django.contrib.auth.models
from django.conf import settings
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
        ("users", "0001_initial"),
    ]
    operations = [
        migrations.CreateModel(
            name="ProxyUser",
            fields=[],
            options={"proxy": True, "indexes": [], "constraints": []},
            bases=(settings.AUTH_USER_MODEL.lower(),),  # whichever the tests run with
            managers=[("objects", django.contrib.auth.models.UserManager())],
        ),
    ]
