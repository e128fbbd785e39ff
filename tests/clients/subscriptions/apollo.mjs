// Apollo Client, with its link for graphql-ws.
import { ApolloClient, gql, InMemoryCache } from "@apollo/client";
import { GraphQLWsLink } from "@apollo/client/link/subscriptions";
import { createClient } from "graphql-ws";
import WebSocket from "ws";
import { authorization, complete, document, event, fail, variables, ws } from "./arguments.mjs";

// The link compares errors with it, and Node has none of its own before version 22.
globalThis.WebSocket ??= WebSocket;

const socket = createClient({ url: ws, webSocketImpl: WebSocket, connectionParams: authorization, retryAttempts: 0 });
const client = new ApolloClient({ link: new GraphQLWsLink(socket), cache: new InMemoryCache() });
client
  .subscribe({ query: gql(document), variables, fetchPolicy: "no-cache" })
  .subscribe({ next: ({ data, error }) => (error ? fail(error) : event({ data })), error: fail, complete });
