"""An S3 server for the tests: moto's, in a process of its own, which checks who asks.

usage: server.py PORT BUCKET [SAVED]

Prints the access key it made as JSON when it listens, and takes no request that is not signed by that key. moto keeps everything in
memory: with SAVED, a file that `bucket.py save` wrote, the bucket begins with what is in it, as that of a server that was started
again; any key will do then, since moto makes another one.
"""

import json
import pickle
import sys
import threading

import boto3
import requests
from moto.server import ThreadedMotoServer

port, bucket = int(sys.argv[1]), sys.argv[2]
server = ThreadedMotoServer("127.0.0.1", port, verbose=False)
server.start()
endpoint = f"http://127.0.0.1:{port}"


def client(service):
    return boto3.client(
        service,
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="first",
        aws_secret_access_key="first",
    )


s3, iam = client("s3"), client("iam")
s3.create_bucket(Bucket=bucket)
if len(sys.argv) > 3:
    with open(sys.argv[3], "rb") as saved:
        for key, body in pickle.load(saved).items():
            s3.put_object(Bucket=bucket, Key=key, Body=body)
iam.create_user(UserName="city")
allowed = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
iam.put_user_policy(UserName="city", PolicyName="city", PolicyDocument=json.dumps(allowed))
key = iam.create_access_key(UserName="city")["AccessKey"]
if len(sys.argv) == 3:
    # From here on every request must be signed by that key.
    requests.post(f"{endpoint}/moto-api/reset-auth", data=b"0", timeout=10).raise_for_status()
print(json.dumps({"id": key["AccessKeyId"], "secret": key["SecretAccessKey"]}), flush=True)
threading.Event().wait()
