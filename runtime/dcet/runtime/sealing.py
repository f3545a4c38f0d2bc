"""Encrypts what is saved: a key from a password by scrypt (RFC 7914), AES-256-GCM with it."""

import unicodedata

from dcet.runtime.errors import ConfigError, WrongPassword
from dcet.runtime.extras import need

SALT_BYTES, NONCE_BYTES, TAG_BYTES = 16, 12, 16
KEY_BYTES = 32
COST, BLOCK, LANES = 2**15, 8, 1  # of scrypt: 32 MiB and about 0.1 s for each guess
_EXTRA = "private"


def sealed(data: bytes, password: str, salt: bytes, nonce: bytes, also: bytes) -> bytes:
    """Return data encrypted, with a tag over it and `also`. Raises ConfigError, MissingExtra."""
    aead = need("cryptography.hazmat.primitives.ciphers.aead", extra=_EXTRA)
    made: bytes = aead.AESGCM(_key(password, salt)).encrypt(nonce, data, also)
    return made


def opened(data: bytes, password: str, salt: bytes, nonce: bytes, also: bytes, where: str) -> bytes:
    """Return what was sealed. Raises WrongPassword, ConfigError or MissingExtra."""
    aead = need("cryptography.hazmat.primitives.ciphers.aead", extra=_EXTRA)
    exceptions = need("cryptography.exceptions", extra=_EXTRA)
    key = _key(password, salt)
    try:
        found: bytes = aead.AESGCM(key).decrypt(nonce, data, also)
    except (exceptions.InvalidTag, ValueError) as error:
        raise WrongPassword(
            f"{where}: expected the password it was saved with, got another, or the file was "
            "altered; give that password"
        ) from error
    return found


def _key(password: str, salt: bytes) -> bytes:
    """Derive a key; however accents are encoded, it is one password."""
    if not isinstance(password, str) or not password:
        got = "an empty one" if password == "" else type(password).__name__
        raise ConfigError(f"password: expected a str of at least one character, got {got}")
    scrypt = need("cryptography.hazmat.primitives.kdf.scrypt", extra=_EXTRA)
    derive = scrypt.Scrypt(salt=salt, length=KEY_BYTES, n=COST, r=BLOCK, p=LANES)
    text = unicodedata.normalize("NFC", password)
    key: bytes = derive.derive(text.encode("utf-8", "surrogatepass"))
    return key
