// node apollo.mjs URL QUERY: runs one query through Apollo Client and prints its data as JSON.
import { ApolloClient, HttpLink, InMemoryCache, gql } from '@apollo/client/core';

const [url, query] = process.argv.slice(2);
if (!url || !query) {
  console.error('usage: node apollo.mjs URL QUERY');
  process.exit(2);
}

const client = new ApolloClient({ link: new HttpLink({ uri: url }), cache: new InMemoryCache() });
const { data } = await client.query({ query: gql(query) });
console.log(JSON.stringify(data));
