"""Whatever the environment holds, the answer is Settings or one SettingsError."""

from hypothesis import example, given
from hypothesis import strategies as st

from service.settings import PREFIX, Settings, SettingsError, variable

names = st.one_of(
    st.sampled_from([variable(name) for name in Settings.model_fields]),
    st.text(max_size=30).map(lambda text: PREFIX + text),
    st.text(max_size=30),
)
values = st.one_of(
    st.text(max_size=60),
    st.integers().map(str),
    st.floats().map(str),
    st.sampled_from(
        ["", "0", "-1", "1e400", "mtls", "localhost", "sqlite:///x", "http://", "a\nb: c", "\ud800"]
    ),
)


@given(st.dictionaries(names, values, max_size=8))
@example({"RECOMMENDATIONS_PORT": "9" * 5000})
@example({"RECOMMENDATIONS_PORT": "1\n2", "RECOMMENDATIONS_X\nY": "1"})
def test_any_environment_gives_settings_or_complaints(environment):
    try:
        settings = Settings.from_environment(environment)
    except SettingsError as refused:
        lines = str(refused).splitlines()
        assert lines
        assert all(PREFIX in line.upper() and ": " in line for line in lines), lines
    else:
        if "@" not in settings.otlp_endpoint:  # whose password is left out
            assert Settings.from_environment(settings.describe()) == settings
