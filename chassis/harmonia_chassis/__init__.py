"""What every service is bolted to; knows no music."""

import os

# grpc reads this when it is first imported. Its fork handlers abort a child that is forked (to decode an
# upload under limits) while a call is under way; the children of a service never use grpc.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
