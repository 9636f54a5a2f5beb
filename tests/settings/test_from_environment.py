"""Settings come from the environment: defaults, all mistakes at once, nothing unknown, nothing secret."""

from pathlib import Path

import pytest

from service.settings import PREFIX, Settings, SettingsError, variable


def read(**given: str) -> Settings:
    """Read settings given without their prefix."""
    return Settings.from_environment({PREFIX + key: value for key, value in given.items()})


def mistakes(**given: str) -> list[str]:
    """Return the mistakes that these settings are refused with."""
    with pytest.raises(SettingsError) as refused:
        read(**given)
    return str(refused.value).splitlines()


def test_an_empty_environment_gives_the_documented_defaults():
    settings = Settings.from_environment({"PATH": "/bin", "recommendation": "no prefix"})
    assert (settings.port, settings.admin_port, settings.plaintext_port) == (50051, 8080, None)
    assert settings.transport == "mtls"
    assert settings.tls_certificate_file == Path("certs/dev/server.crt")
    assert settings.database_url == "sqlite:///var/recommendations.db"
    assert settings.otlp_endpoint == ""


def test_every_setting_can_be_given_as_a_variable_as_it_is_described():
    described = Settings().describe()
    assert described.keys() == {variable(name) for name in Settings.model_fields}
    assert Settings.from_environment(described) == Settings()


def test_every_setting_says_what_it_means():
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_values_are_read_as_their_types():
    settings = read(
        PORT="0", DRAIN_SECONDS="2.5", TRANSPORT="tls", MODELS_URL="/models", PLAINTEXT_PORT="50052"
    )
    assert (settings.port, settings.drain_seconds, settings.transport) == (0, 2.5, "tls")
    assert (settings.models_url, settings.plaintext_port) == ("/models", 50052)


@pytest.mark.parametrize("name", ["PLAINTEXT_PORT", "PAGE_TOKEN_KEY_FILE", "JOURNAL_DIRECTORY"])
def test_empty_means_none_where_there_can_be_none(name):
    assert getattr(read(**{name: ""}), name.lower()) is None


def test_all_mistakes_are_told_at_once_each_with_key_value_and_rule():
    found = mistakes(
        PORT="70000",
        LOG_LEVEL="loud",
        RATE_BURST="many",
        TRACE_RATIO="1.5",
        COLOUR="red",
        HOST="shop.example",
    )
    assert [line.partition(":")[0] for line in found] == [
        "RECOMMENDATIONS_COLOUR",
        "RECOMMENDATIONS_HOST='shop.example'",
        "RECOMMENDATIONS_LOG_LEVEL='loud'",
        "RECOMMENDATIONS_PORT='70000'",
        "RECOMMENDATIONS_RATE_BURST='many'",
        "RECOMMENDATIONS_TRACE_RATIO='1.5'",
    ]
    rules = [line.partition(": ")[2] for line in found]
    assert "is not a setting" in rules[0]
    assert "must be an IP address or localhost" in rules[1]
    assert "'debug', 'info', 'warning' or 'error'" in rules[2]
    assert "less than or equal to 65535" in rules[3]
    assert "integer" in rules[4]
    assert "less than or equal to 1" in rules[5]


@pytest.mark.parametrize("key", ["RECOMMENDATIONS_", "RECOMMENDATIONS_PROT", "RECOMMENDATIONS_MODEL_CONFIG"])
def test_an_unknown_variable_is_refused(key):
    with pytest.raises(SettingsError, match=f"^{key}: is not a setting of this service"):
        Settings.from_environment({key: "1"})


@pytest.mark.parametrize("key", ["recommendations_port", "RECOMMENDATIONS_port", "Recommendations_PORT"])
def test_a_variable_in_lower_case_is_refused_instead_of_overlooked(key):
    with pytest.raises(SettingsError, match=f"^{key}: is not a setting of this service"):
        Settings.from_environment({key: "1"})


@pytest.mark.parametrize(
    "name",
    [
        "PORT",
        "HOST",
        "TRANSPORT",
        "DATABASE_URL",
        "DRAIN_SECONDS",
        "TLS_KEY_FILE",
        "MODELS_URL",
        "ROLES_FILE",
    ],
)
def test_an_empty_value_is_refused_where_something_is_needed(name):
    (mistake,) = mistakes(**{name: ""})
    assert mistake.startswith(f"RECOMMENDATIONS_{name}='': ")


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e999"])
@pytest.mark.parametrize("name", ["DRAIN_SECONDS", "RATE_PER_SECOND", "TRACE_RATIO", "TLS_RELOAD_SECONDS"])
def test_a_number_that_is_not_finite_is_refused(name, value):
    (mistake,) = mistakes(**{name: value})
    assert mistake.startswith(f"RECOMMENDATIONS_{name}={value!r}: ")


def test_ports_that_collide_are_refused():
    (mistake,) = mistakes(PORT="8080")
    assert "8080 is given to more than one; they must differ" in mistake
    for name in ("PORT", "PLAINTEXT_PORT", "ADMIN_PORT"):
        assert PREFIX + name in mistake


def test_ports_chosen_by_the_system_do_not_collide():
    assert read(PORT="0", ADMIN_PORT="0", PLAINTEXT_PORT="0").plaintext_port == 0


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("DATABASE_URL", "mysql://shop/books", "sqlite:///"),
        ("DATABASE_URL", "postgresql://shop:hush@db/books", "DATABASE_PASSWORD_FILE"),
        ("DATABASE_URL", "postgresql://shop@db/books?password=hush", "DATABASE_PASSWORD_FILE"),
        ("MODELS_URL", "gs://bucket/models", "s3://bucket/prefix"),
        ("MODELS_URL", "s3://", "s3://bucket/prefix"),
        ("MODELS_ENDPOINT", "store:9000", "http:// or https://"),
        ("DATABASE_URL", "var/recommendations.db", "sqlite:///"),
        ("OTLP_ENDPOINT", "collector:4318", "http:// or https://"),
    ],
)
def test_an_address_of_another_kind_is_refused(name, value, rule):
    (mistake,) = mistakes(**{name: value})
    assert mistake.startswith(f"RECOMMENDATIONS_{name}=")
    assert rule in mistake
    assert "hush" not in mistake


def test_a_password_in_a_url_is_neither_shown_nor_complained_about_in_clear():
    settings = read(OTLP_ENDPOINT="https://shop:hunter2@collector.example/v1/traces")
    assert settings.describe()["RECOMMENDATIONS_OTLP_ENDPOINT"] == "https://***@collector.example/v1/traces"
    for url in ("postgresql://shop:hunter2@db/books", "mysql://shop:hunt/e@r2@db/books", "shop:hunter2@db"):
        (mistake,) = mistakes(DATABASE_URL=url)
        assert "hunt" not in mistake
        assert "***@db" in mistake


def test_settings_cannot_be_changed_later():
    with pytest.raises(ValueError, match="frozen"):
        Settings().port = 1
