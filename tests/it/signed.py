"""Celery with `setup_security`: its worker, and callers who are trusted or not.

    signed.py keys           makes keys and certificates in the folder
    signed.py worker WHO     a worker whose owner of the key is WHO
    signed.py send WHO       sends as WHO: prints one line for each answer
"""

import datetime
import os
import pathlib
import sys

from celery import Celery, chain

DAY = datetime.timedelta(days=1)


def make(name, trusted, start, end):
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.x509.oid import NameOID

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    owner = x509.Name([
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Töchter"),
        x509.NameAttribute(NameOID.COMMON_NAME, name),
    ])
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = x509.CertificateBuilder().subject_name(owner).issuer_name(owner)
    builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now + start).not_valid_after(now + end)
    certificate = builder.sign(key, hashes.SHA256())
    pem = serialization.Encoding.PEM
    plain = serialization.NoEncryption()
    pathlib.Path(f"{name}.key").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.TraditionalOpenSSL, plain)
    )
    pathlib.Path(f"{name}.pem").write_bytes(certificate.public_bytes(pem))
    for store in ["ours"] * trusted + ["theirs"] * (trusted and name != "past"):
        os.makedirs(store, exist_ok=True)
        pathlib.Path(store, f"{name}.pem").write_bytes(certificate.public_bytes(pem))


def keys():
    make("shop", True, -DAY, DAY)
    make("worker", True, -DAY, DAY)
    make("past", True, -2 * DAY, -DAY)
    make("stranger", False, -DAY, DAY)


app = Celery("signed", broker=os.environ["AMQP_URL"], backend="rpc://")
app.conf.update(
    task_serializer="auth",
    accept_content=["auth"],
    result_serializer="json",
    result_accept_content=["json"],
    task_default_queue="py",
    task_routes={"rs.*": {"queue": "default"}},
    broker_connection_retry_on_startup=True,
    worker_hijack_root_logger=False,
)


def secure(who, serializer="json"):
    app.conf.update(security_key=f"{who}.key", security_certificate=f"{who}.pem")
    # Celery refuses to start with an expired certificate in its store.
    app.conf.security_cert_store = "theirs"
    app.setup_security(serializer=serializer)


@app.task(name="py.add")
def py_add(a, b):
    return a + b


@app.task(name="rs.add")
def rs_add(a, b):
    raise AssertionError("runs elsewhere")


def send(who):
    if who == "nobody":
        # As if security were not set up.
        app.send_task("rs.add", (1, 1), serializer="json")
    elif who == "forger":
        from celery.security.serialization import SecureSerializer

        pack = SecureSerializer._pack

        def forged(self, body, *args, **kwargs):
            return pack(self, body.replace(b"[1, 1]", b"[1, 9]"), *args, **kwargs)

        SecureSerializer._pack = forged
        secure("shop")
        rs_add.delay(1, 1)
    elif who != "shop":
        secure(who)
        rs_add.delay(1, 1)
    else:
        secure(who)
        print("json", rs_add.delay(20, 22).get(timeout=30))
        print("gzip", rs_add.apply_async((20, 23), compression="gzip").get(timeout=30))
        mixed = chain(rs_add.s(1, 2), py_add.s(3), rs_add.s(4), rs_add.s(5), py_add.s(6))
        print("chain", mixed.delay().get(timeout=30))
        secure(who, "msgpack")
        print("msgpack", rs_add.delay(20, 24).get(timeout=30))
    print("that is all")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["keys"]:
            keys()
            print("that is all")
        case ["worker", who]:
            secure(who)
            app.worker_main(["worker", "-c1", "--without-mingle", "--without-gossip", "-l", "INFO"])
        case ["send", who]:
            send(who)
