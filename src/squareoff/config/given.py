"""Hand the settings' credentials to the broker's adapter."""

from squareoff.adapters.broker.dhan.session_setup import GivenCredentials
from squareoff.config.settings import Settings
from squareoff.domain.ids import AccountId


def given_credentials(settings: Settings) -> GivenCredentials:
    """Return what the settings hold of the account at the broker."""
    credentials = settings.credentials
    token, pin, secret = (
        None if each is None else each.get_secret_value()
        for each in (credentials.access_token, credentials.pin, credentials.totp_secret)
    )
    account_id = AccountId(credentials.client_id or "")
    return GivenCredentials(account_id, token, credentials.access_token_file, pin, secret)
