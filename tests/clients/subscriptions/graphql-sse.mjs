// graphql-sse, one connection for each operation.
import { createClient } from "graphql-sse";
import { authorization, complete, document, event, fail, http, variables } from "./arguments.mjs";

const client = createClient({ url: http, headers: authorization, retryAttempts: 0 });
client.subscribe({ query: document, variables }, { next: event, error: fail, complete });
