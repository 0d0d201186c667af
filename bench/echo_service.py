"""A bare grpc.aio echo behind mutual TLS, to compare with: `python -m bench.echo_service PKI` prints its port."""

import asyncio
import sys
from pathlib import Path

import grpc

METHOD = "/bench.Echo/Echo"


async def main() -> None:
    pki = Path(sys.argv[1])
    key, chain, ca = ((pki / name).read_bytes() for name in ("gateway.key.pem", "gateway.pem", "ca.pem"))
    credentials = grpc.ssl_server_credentials([(key, chain)], ca, require_client_auth=True)
    server = grpc.aio.server()
    handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(_echo)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bench.Echo", {"Echo": handler}),))
    port = server.add_secure_port("127.0.0.1:0", credentials)
    await server.start()
    print(port, flush=True)
    await server.wait_for_termination()


async def _echo(request: bytes, _context: object) -> bytes:
    return request


if __name__ == "__main__":
    asyncio.run(main())
