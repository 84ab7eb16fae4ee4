"""Makes the keys, certificates and signed messages of this folder; run it where Celery is installed."""
import base64, datetime, json, sys
from cryptography import x509
from cryptography.x509.oid import NameOID
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from celery.security.serialization import SecureSerializer
from celery.security.certificate import Certificate
from celery.security.key import PrivateKey

YEAR = datetime.timedelta(days=365)
START = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)


def write(name, data):
    open(name, "wb").write(data)
    return data.decode()


def signer(name, serial, issuer, bits=2048):
    key = rsa.generate_private_key(public_exponent=65537, key_size=bits)
    issuer = x509.Name([x509.NameAttribute(oid, text) for oid, text in issuer])
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
        .serial_number(serial).not_valid_before(START).not_valid_after(START + 2 * YEAR)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    pkcs8 = serialization.PrivateFormat.PKCS8
    key_pem = key.private_bytes(pem, pkcs8, serialization.NoEncryption())
    return write(f"{name}.key", key_pem), write(f"{name}.pem", certificate.public_bytes(pem))


shop = signer("shop", 2**150 + 17, [
    (NameOID.COUNTRY_NAME, "DE"), (NameOID.ORGANIZATION_NAME, "Bücher & Töchter"), (NameOID.COMMON_NAME, "Shop CA"),
])
signer("stranger", 18, [(NameOID.COMMON_NAME, "Other CA")])
signer("odd", 19, [(NameOID.COMMON_NAME, "Odd CA")], bits=2049)

body = [[20, 22], {"note": "\0\1 ü"}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]
messages = {}
for digest in ("sha256", "sha384", "sha512"):
    for serializer in ("json", "msgpack"):
        made = SecureSerializer(PrivateKey(shop[0]), Certificate(shop[1]), None, digest, serializer)
        messages[f"{digest} {serializer}"] = made.serialize(body)
write("messages.json", json.dumps(messages, indent=1).encode())
