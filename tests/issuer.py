"""An OpenID Connect issuer, a process of its own: `python issuer.py` prints its address and answers until it is ended.

It has the two documents of a real one, and signs whatever it is asked to: POST /mint with {"key", "header", "claims"},
where key is "rsa", "ec", "ed", "unpublished" or "none"; POST /rotate gives it a further key that is published, "next".
"""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

ALGORITHMS = {"rsa": "RS256", "ec": "ES256", "ed": "EdDSA", "unpublished": "ES256", "next": "EdDSA"}
PUBLIC: dict[str, Any] = {"RS256": RSAAlgorithm, "ES256": ECAlgorithm, "EdDSA": OKPAlgorithm}


class Issuer(ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.keys: dict[str, Any] = {
            "rsa": rsa.generate_private_key(public_exponent=65537, key_size=2048),
            "ec": ec.generate_private_key(ec.SECP256R1()),
            "ed": ed25519.Ed25519PrivateKey.generate(),
            "unpublished": ec.generate_private_key(ec.SECP256R1()),
        }
        self.jwks_reads = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/realms/music"

    def jwks(self) -> dict[str, Any]:
        self.jwks_reads += 1
        return {"keys": [self._jwk(name) for name in self.keys if name != "unpublished"]}

    def mint(self, key: str, header: dict[str, Any], claims: dict[str, Any]) -> str:
        if key == "none":
            return jwt.encode(claims, "", algorithm="none", headers=header)
        if header.get("alg", "").startswith("HS"):
            return jwt.encode(claims, b"s" * 64, algorithm=header["alg"], headers=header)
        return jwt.encode(claims, self.keys[key], algorithm=ALGORITHMS[key], headers={"kid": key} | header)

    def _jwk(self, name: str) -> dict[str, Any]:
        public = json.loads(PUBLIC[ALGORITHMS[name]].to_jwk(self.keys[name].public_key()))
        return {**public, "kid": name, "use": "sig", "alg": ALGORITHMS[name]}


class Handler(BaseHTTPRequestHandler):
    server: Issuer

    def do_GET(self) -> None:
        issuer = self.server
        if self.path == "/realms/music/.well-known/openid-configuration":
            self._answer({"issuer": issuer.url, "jwks_uri": f"{issuer.url}/certs"})
        elif self.path == "/realms/music/certs":
            self._answer(issuer.jwks())
        elif self.path == "/reads":
            self._answer({"reads": issuer.jwks_reads})
        else:
            self.send_error(404)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.path == "/rotate":
            self.server.keys["next"] = ed25519.Ed25519PrivateKey.generate()
            self._answer({})
        else:
            self._answer({"token": self.server.mint(body["key"], body["header"], body["claims"])})

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  as BaseHTTPRequestHandler has it
        """Nothing: who asks is the test."""

    def _answer(self, document: dict[str, Any]) -> None:
        body = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    issuer = Issuer()
    print(issuer.url, flush=True)
    issuer.serve_forever()
