"""Makes the hosted zone that an operator brings along, and prints its id.

    python zone.py ENDPOINT DOMAIN
"""

import sys

import boto3

endpoint, domain = sys.argv[1:]
route53 = boto3.client("route53", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test")
zone = route53.create_hosted_zone(Name=domain, CallerReference="tests")
print(zone["HostedZone"]["Id"].removeprefix("/hostedzone/"))
