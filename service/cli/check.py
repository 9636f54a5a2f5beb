"""`check-config`: the settings as the service would read them."""

import os

import click

from service.security.access import AccessError, Policy
from service.settings import Settings, SettingsError, variable


@click.command("check-config")
@click.option("--all", "explain", is_flag=True, help="Say with each setting what it means.")
def check_config(explain: bool) -> None:
    """Check the settings and print them, without secrets, as NAME=value lines.

    Every mistake is listed at once. The roles file is read as well; certificates and the database are not.
    """
    settings = Settings.from_environment(os.environ)
    try:
        Policy.load(settings.roles_file)
    except AccessError as error:
        raise SettingsError(f"{variable('roles_file')}: {error}") from error
    meanings = {variable(name): field.description for name, field in type(settings).model_fields.items()}
    for name, value in settings.describe().items():
        if explain:
            click.echo(f"# {meanings[name]}")
        click.echo(f"{name}={value}")
