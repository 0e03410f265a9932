"""Which release this is, as it was installed."""

from importlib.metadata import PackageNotFoundError, version


def product_version() -> str:
    """As in the package; "development" where nothing is installed."""
    try:
        return version("ocpp-modbus-gateway")
    except PackageNotFoundError:
        return "development"
