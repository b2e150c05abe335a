import django.db.models.deletion
from django.db import migrations, models


def to_a_session(**options):
    return models.ForeignKey(
        db_constraint=False,
        on_delete=django.db.models.deletion.DO_NOTHING,
        related_name="+",
        to="sessions_ext.usersession",
        **options,
    )


class Migration(migrations.Migration):
    initial = True
    dependencies = [("sessions_ext", "0001_initial")]
    operations = [
        migrations.CreateModel(
            name="Note",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("session", to_a_session()),
                ("seen_in", to_a_session(null=True)),
                ("text", models.TextField()),
            ],
        ),
    ]
