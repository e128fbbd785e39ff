// urql, with its exchange for subscriptions over graphql-ws.
import { Client, gql, subscriptionExchange } from "@urql/core";
import { createClient } from "graphql-ws";
import { onEnd, pipe, subscribe } from "wonka";
import WebSocket from "ws";
import { authorization, complete, document, event, fail, http, variables, ws } from "./arguments.mjs";

const socket = createClient({ url: ws, webSocketImpl: WebSocket, connectionParams: authorization, retryAttempts: 0 });
const forwardSubscription = ({ query, variables, operationName }) => ({
  subscribe: (sink) => ({ unsubscribe: socket.subscribe({ query: query ?? "", variables, operationName }, sink) }),
});
const client = new Client({ url: http, preferGetMethod: false, exchanges: [subscriptionExchange({ forwardSubscription })] });
pipe(
  client.subscription(gql(document), variables),
  onEnd(complete),
  subscribe(({ data, error }) => (error ? fail(error) : event({ data }))),
);
