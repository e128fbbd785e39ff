// PostGraphile on the schema `peer` of a database: one worker for each core, as it is deployed.
import cluster from "node:cluster";
import { createServer } from "node:http";
import { availableParallelism } from "node:os";

import { postgraphile } from "postgraphile";
import { makePgService } from "postgraphile/adaptors/pg";
import { grafserv } from "postgraphile/grafserv/node";
import amber from "postgraphile/presets/amber";

const [database] = process.argv.slice(2);

if (cluster.isPrimary) {
  let waiting = availableParallelism();
  for (let i = waiting; i > 0; i--) cluster.fork();
  cluster.on("listening", (_worker, address) => {
    waiting -= 1;
    if (waiting === 0) console.log(`listening on http://127.0.0.1:${address.port}`);
  });
  process.on("SIGTERM", () => process.exit(0));
} else {
  const preset = {
    extends: [amber.default ?? amber],
    pgServices: [
      makePgService({ connectionString: database, schemas: ["peer"], poolConfig: { max: 10 } }),
    ],
    grafserv: { graphqlPath: "/graphql", graphiql: false, watch: false },
    grafast: { explain: false },
  };
  const server = createServer();
  const instance = postgraphile(preset).createServ(grafserv);
  await instance.addTo(server);
  server.listen(0, "127.0.0.1");
}
