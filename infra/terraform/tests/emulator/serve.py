"""An emulator of AWS for `tests/run apply`: moto's server, plus what the Terraform provider asks and moto lacks.

    python serve.py HOST PORT

Each file beside this one mends one service, and says why. Nothing here is used outside the tests.
"""

import os
import sys

# Policies of AWS's own are attached by ARN, so they have to be there.
os.environ["MOTO_IAM_LOAD_MANAGED_POLICIES"] = "true"
# A certificate is issued at the first look instead of after a minute.
os.environ["MOTO_ACM_VALIDATION_WAIT"] = "1"

import elasticache
import kafka
import others
import prometheus
from moto.server import main as serve


def main() -> None:
    host, port = sys.argv[1:]
    for service in (kafka, elasticache, others, prometheus):
        service.mend()
    serve(["-H", host, "-p", port])


if __name__ == "__main__":
    main()
