"""TLS before the lab's services, and the authority that vouches for it.

  tls.py authority DIR             make DIR/ca.pem, and a certificate for 127.0.0.1 with its key
  tls.py relay DIR LISTEN:TO ..    take TLS at port LISTEN, pass it on to port TO, for each pair

Run by the lab in its virtualenv, which has the package `cryptography`.
"""
import os
import socket
import ssl
import sys
import threading


def authority(directory):
    import datetime
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    now = datetime.datetime.now(datetime.timezone.utc)

    def certificate(name, key, issuer, issuer_key, is_authority):
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        builder = (
            x509.CertificateBuilder().subject_name(subject).issuer_name(issuer or subject)
            .public_key(key.public_key()).serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=30))
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True))
        if not is_authority:
            address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
            builder = builder.add_extension(x509.SubjectAlternativeName([address]), critical=False)
        return builder.sign(issuer_key, hashes.SHA256())

    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    ca = certificate("the lab's authority", ca_key, None, ca_key, True)
    own = certificate("the lab", key, ca.subject, ca_key, False)
    pem = serialization.Encoding.PEM
    texts = {
        "ca.pem": ca.public_bytes(pem),
        "own.pem": own.public_bytes(pem),
        "key.pem": key.private_bytes(pem, serialization.PrivateFormat.PKCS8,
                                     serialization.NoEncryption()),
    }
    os.makedirs(directory, mode=0o700, exist_ok=True)
    for name, text in texts.items():
        with open(os.path.join(directory, name), "wb") as f:
            f.write(text)


def relay(directory, pairs):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(os.path.join(directory, "own.pem"), os.path.join(directory, "key.pem"))
    for pair in pairs:
        listen, to = map(int, pair.split(":"))
        listener = socket.create_server(("127.0.0.1", listen))
        threading.Thread(target=accept, args=(listener, to, context), daemon=True).start()
    threading.Event().wait()


def accept(listener, to, context):
    while True:
        client, _ = listener.accept()
        threading.Thread(target=serve, args=(client, to, context), daemon=True).start()


def serve(client, to, context):
    """One connection, which both sides close after one answer, as the lab's uWSGI does."""
    try:
        with context.wrap_socket(client, server_side=True) as secure:
            with socket.create_connection(("127.0.0.1", to)) as service:
                threading.Thread(target=copy, args=(secure, service), daemon=True).start()
                copy(service, secure)
                # close() alone would wait for the other thread, which reads from this socket.
                secure.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # a client that does not trust the certificate ends the handshake


def copy(source, sink):
    try:
        while data := source.recv(65536):
            sink.sendall(data)
    except OSError:
        pass


if __name__ == "__main__":
    {"authority": lambda: authority(sys.argv[2]),
     "relay": lambda: relay(sys.argv[2], sys.argv[3:])}[sys.argv[1]]()
