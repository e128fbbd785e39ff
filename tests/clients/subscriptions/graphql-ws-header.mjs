// graphql-ws, with the token in a header of the upgrade, as `ws` can send it and browsers cannot.
import { createClient } from "graphql-ws";
import WebSocket from "ws";
import { authorization, complete, document, event, fail, variables, ws } from "./arguments.mjs";

class Authorized extends WebSocket {
  constructor(address, protocols) {
    super(address, protocols, { headers: authorization });
  }
}

const client = createClient({ url: ws, webSocketImpl: Authorized, retryAttempts: 0 });
client.subscribe({ query: document, variables }, { next: event, error: fail, complete });
