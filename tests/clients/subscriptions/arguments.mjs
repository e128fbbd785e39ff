// What every script is told: `node <script> <url> <token> <document> [variables] [count]`, or the
// same from URL, TOKEN, DOCUMENT, VARIABLES and COUNT. The URL is the server's, such as
// http://127.0.0.1:8080; the count is the number of events to wait for.
const { env, argv } = process;
const [, , ...given] = argv;
const told = (at, name, otherwise) => given[at] ?? env[name] ?? otherwise;

const base = told(0, "URL", "http://127.0.0.1:8080").replace(/\/$/, "");
export const token = told(1, "TOKEN", "");
export const document = told(2, "DOCUMENT");
export const variables = JSON.parse(told(3, "VARIABLES", "{}"));
export const count = Number(told(4, "COUNT", "1"));
export const http = `${base}/graphql`;
export const ws = `${base.replace(/^http/, "ws")}/graphql/ws`;
export const authorization = token === "" ? {} : { Authorization: `Bearer ${token}` };

let seen = 0;

// Prints the data of an event, and ends the process well after the last one that is wanted.
export function event({ data, errors }) {
  if (errors?.length) fail(errors);
  console.log(JSON.stringify(data));
  seen += 1;
  if (seen === count) process.exit(0);
}

export function complete() {
  fail(`completed after ${seen} of ${count} events`);
}

export function fail(error) {
  const text = (it) => (it?.message || it?.reason ? `${it.code ?? ""} ${it.message || it.reason}` : JSON.stringify(it));
  console.error([error].flat().map(text).join("\n"));
  process.exit(1);
}

setTimeout(() => fail("nothing more within a minute"), 60_000);
