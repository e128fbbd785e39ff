// node audits.mjs URL: runs every GraphQL-over-HTTP audit of graphql-http; fails unless all are ok.
import { serverAudits } from 'graphql-http';

const EXPECTED = 61;
const url = process.argv[2];
if (!url) {
  console.error('usage: node audits.mjs URL');
  process.exit(2);
}

const counts = {};
for (const audit of serverAudits({ url, fetchFn: fetch })) {
  const { status, reason } = await audit.fn();
  counts[status] = (counts[status] ?? 0) + 1;
  if (status !== 'ok') console.error(`${audit.id} ${status}: ${audit.name}: ${reason}`);
}
console.log(JSON.stringify(counts));
process.exit(counts.ok === EXPECTED && Object.keys(counts).length === 1 ? 0 : 1);
