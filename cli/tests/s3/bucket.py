"""What tests do with the bucket of a city besides Groundline itself.

usage: bucket.py list BUCKET                        the names in it, with size and MD5, as JSON
       bucket.py save BUCKET FILE                   everything in it, for `server.py`
       bucket.py put BUCKET KEY                     an object of 1000 bytes
       bucket.py damage BUCKET KEY                  turns over one bit in the middle of an object
       bucket.py rename BUCKET KEY OTHER
       bucket.py count BUCKET CITY LAYER [X0,Y0,X1,Y1]   objects of the newest version, counted by DuckDB

The server and the key are those of the environment, as for Groundline.
"""

import json
import os
import pickle
import sys
from pathlib import Path

endpoint = os.environ["AWS_ENDPOINT_URL"]


def client():
    import boto3

    return boto3.client("s3", endpoint_url=endpoint, region_name=os.environ.get("AWS_REGION", "us-east-1"))


def names(s3, bucket):
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        yield from page.get("Contents", [])


def count(bucket, city, layer, box=None):
    import duckdb
    import duckdb_extension_httpfs

    db = duckdb.connect()
    extension = Path(duckdb_extension_httpfs.__file__).parent / "extensions" / f"v{duckdb.__version__}" / "httpfs.duckdb_extension"
    db.execute(f"LOAD '{extension}'")
    db.execute(
        f"""CREATE SECRET (TYPE s3, KEY_ID '{os.environ["AWS_ACCESS_KEY_ID"]}', SECRET '{os.environ["AWS_SECRET_ACCESS_KEY"]}',
            REGION 'us-east-1', ENDPOINT '{endpoint.removeprefix("http://")}', URL_STYLE 'path', USE_SSL false)"""
    )
    root = f"s3://{bucket}/{city}"
    text = lambda path: db.execute(f"SELECT content FROM read_text('{root}/{path}')").fetchone()[0]
    version = json.loads(text("city.json"))["version"]
    manifest = json.loads(text(f"versions/{version:06}.json"))
    (record,) = [record for record in manifest["layers"] if record["name"] == layer]
    files = [f"{root}/{file['path']}" for file in record["object_files"] if file["path"].endswith(".parquet")]
    inside = ""
    if box:
        x0, y0, x1, y1 = box.split(",")
        inside = f"WHERE bbox.xmin <= {x1} AND bbox.xmax >= {x0} AND bbox.ymin <= {y1} AND bbox.ymax >= {y0}"
    return db.execute(f"SELECT count(*) FROM read_parquet({files}) {inside}").fetchone()[0]


what, bucket, *rest = sys.argv[1:]
if what == "list":
    print(json.dumps({o["Key"]: [o["Size"], o["ETag"].strip('"')] for o in names(client(), bucket)}))
elif what == "save":
    s3 = client()
    held = {o["Key"]: s3.get_object(Bucket=bucket, Key=o["Key"])["Body"].read() for o in names(s3, bucket)}
    with open(rest[0], "wb") as file:
        pickle.dump(held, file)
elif what == "put":
    client().put_object(Bucket=bucket, Key=rest[0], Body=b"0" * 1000)
elif what == "damage":
    s3 = client()
    body = bytearray(s3.get_object(Bucket=bucket, Key=rest[0])["Body"].read())
    body[len(body) // 2] ^= 1
    s3.put_object(Bucket=bucket, Key=rest[0], Body=bytes(body))
elif what == "rename":
    s3 = client()
    s3.copy_object(Bucket=bucket, Key=rest[1], CopySource={"Bucket": bucket, "Key": rest[0]})
    s3.delete_object(Bucket=bucket, Key=rest[0])
elif what == "count":
    print(json.dumps(count(bucket, *rest)))
else:
    sys.exit(__doc__)
