"""gql_client.py URL QUERY: runs one query through gql, against the schema it fetched, and prints
the data as JSON."""

import asyncio
import json
import sys

from gql import Client, gql
from gql.transport.aiohttp import AIOHTTPTransport


async def main(url: str, query: str) -> None:
    transport = AIOHTTPTransport(url=url)
    async with Client(transport=transport, fetch_schema_from_transport=True) as session:
        print(json.dumps(await session.execute(gql(query))))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: gql_client.py URL QUERY")
    asyncio.run(main(sys.argv[1], sys.argv[2]))
