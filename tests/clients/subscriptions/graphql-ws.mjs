// graphql-ws, with the token in `connectionParams`.
import { createClient } from "graphql-ws";
import WebSocket from "ws";
import { authorization, complete, document, event, fail, variables, ws } from "./arguments.mjs";

const client = createClient({ url: ws, webSocketImpl: WebSocket, connectionParams: authorization, retryAttempts: 0 });
client.subscribe({ query: document, variables }, { next: event, error: fail, complete });
