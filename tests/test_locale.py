"""The texts in German, French and Spanish."""

import gettext
import re
import shutil

import pytest
from django.apps import apps
from django.template.loader import render_to_string
from django.utils import translation

from sessions_ext.testing import UserFactory, UserSessionFactory, log_in
from tests.programs import needs
from tests.translations import APP, LANGUAGES, update


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """The app with its catalogues as tests/translations.py writes them from today's texts."""
    needs("msgfmt")
    app = tmp_path_factory.mktemp("locale") / "sessions_ext"
    shutil.copytree(APP, app)
    update(app)
    return app


def catalogue(app, language):
    with open(app / f"locale/{language}/LC_MESSAGES/django.mo", "rb") as file:
        return {key: text for key, text in gettext.GNUTranslations(file)._catalog.items() if key}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_is_translated_and_every_translation_compiled(fresh, language):
    po = (fresh / f"locale/{language}/LC_MESSAGES/django.po").read_text()
    entries = po.split("\n\n")[1:]
    lacking = [
        entry for entry in entries if re.search(r'^msgstr.* ""$(?!\n")|^#.*fuzzy', entry, re.MULTILINE)
    ]
    assert len(entries) > 100
    assert not lacking
    assert catalogue(APP, language) == catalogue(fresh, language)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("language", "texts"),
    [
        ("de", ["Sitzungen auf einen Blick", "gerade eben", "Aktiv", "Benutzersitzungen"]),
        ("fr", ["Les sessions en un coup", "7 derniers jours", "Active", "Sessions utilisateur"]),
        ("es", ["Las sesiones de un vistazo", "ahora mismo", "Activa", "Sesiones de usuario"]),
    ],
)
def test_the_admin_speaks_the_language(client, language, texts):
    log_in(client, UserFactory(is_staff=True, is_superuser=True))
    with translation.override(language):
        page = client.get("/admin/sessions_ext/usersession/").content.decode()
    for text in texts:
        assert text in page


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("language", "texts", "detail"),
    [
        (
            "de",
            ["Ihre Geräte", "Dieses Gerät", "Überall sonst abmelden", "gerade eben"],
            "Melden Sie sich an",
        ),
        ("fr", ["Vos appareils", "Cet appareil", "partout ailleurs", "connexion"], "Connectez-vous"),
        ("es", ["Sus dispositivos", "Este dispositivo", "los demás dispositivos", "ahora mismo"], "Inicie"),
    ],
)
def test_a_browser_gets_the_devices_and_the_problems_in_its_language(
    client, user, settings, language, texts, detail
):
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "django.middleware.locale.LocaleMiddleware"]
    asks = {"accept-language": language}
    assert client.get("/api/sessions", headers=asks).json()["detail"].startswith(detail)
    log_in(client, user)
    UserSessionFactory(user=user)
    page = client.get("/devices/", headers=asks).content.decode()
    for text in texts:
        assert text in page
    for text in ["Your devices", "Sign out", "Trust this device", "signed in"]:
        assert text not in page


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("language", "subject", "greeting"),
    [
        ("de", "Neue Anmeldung von einem unbekannten Gerät", "Guten Tag Ada,\n\njemand hat sich"),
        ("fr", "Nouvelle connexion depuis un appareil inconnu", "Bonjour Ada,\n\nQuelqu"),
        ("es", "Nuevo inicio de sesión desde un dispositivo desconocido", "Hola, Ada:\n\nAlguien ha"),
    ],
)
def test_the_e_mail_speaks_the_language(language, subject, greeting):
    session = UserSessionFactory(device_info="")
    context = {"session": session, "name": "Ada", "link": "https://example.com/"}
    with translation.override(language):
        parts = [
            render_to_string(f"sessions_ext/new_device_{part}.txt", context) for part in ("subject", "body")
        ]
    assert parts[0].strip() == subject
    assert parts[1].startswith(greeting)


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_shown_is_ours_and_not_of_an_app_with_the_same_texts(language):
    with translation.override(language):
        for key, text in catalogue(APP, language).items():
            if isinstance(key, str):
                context, _, message = key.rpartition("\x04")
                shown = translation.pgettext(context, message) if context else translation.gettext(message)
                assert shown == text
        assert apps.get_app_config("sessions_ext").verbose_name == {"de": "Sitzungen", "es": "Sesiones"}.get(
            language, "Sessions"
        )
