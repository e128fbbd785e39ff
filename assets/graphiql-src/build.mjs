// Bundles the page into ../graphiql: one script and one style sheet with hashed names, the page
// that names them, and the licences of every package that went in.
import { readFile, readdir, mkdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { build } from 'esbuild';

const here = import.meta.dirname;
const out = path.join(here, '../graphiql');

const page = ({ script, style }) => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>GraphiQL</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/graphiql/${style}">
</head>
<body>
<div id="root"></div>
<script src="/graphiql/${script}"></script>
</body>
</html>
`;

function packageDirectories(inputs) {
  const found = new Set();
  for (const input of Object.keys(inputs)) {
    const match = input.match(/^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//);
    if (match) found.add(match[1]);
  }
  return [...found].sort();
}

async function licence(directory) {
  const manifest = JSON.parse(await readFile(path.join(here, directory, 'package.json'), 'utf8'));
  const file = (await readdir(path.join(here, directory))).find((name) => /^licen[cs]e/i.test(name));
  const text = file ? await readFile(path.join(here, directory, file), 'utf8') : '';
  return `${manifest.name} ${manifest.version} (${manifest.license})\n\n${text.trim()}\n`;
}

await rm(out, { recursive: true, force: true });
await mkdir(out, { recursive: true });
const { metafile } = await build({
  absWorkingDir: here,
  entryPoints: ['main.jsx'],
  outdir: out,
  entryNames: 'graphiql-[hash]',
  bundle: true,
  minify: true,
  metafile: true,
  format: 'iife',
  target: 'es2022',
  legalComments: 'none',
  define: { 'process.env.NODE_ENV': '"production"' },
  loader: { '.woff2': 'dataurl', '.svg': 'dataurl' },
});
const names = Object.keys(metafile.outputs).map((name) => path.basename(name));
const ending = (suffix) => names.find((name) => name.endsWith(suffix));
await writeFile(path.join(out, 'index.html'), page({ script: ending('.js'), style: ending('.css') }));
const licences = await Promise.all(packageDirectories(metafile.inputs).map(licence));
await writeFile(path.join(out, 'LICENSES.txt'), licences.join('\n----\n\n'));
