from .inline import UserSessionInline
from .options import UserSessionAdmin

__all__ = ["UserSessionAdmin", "UserSessionInline"]
