// Builds the page into ocg/gateway/page/: index.html, and assets/ with hashed names, each also as .br and .gz.
import { build } from "esbuild";
import { mkdir, readFile, readdir, rename, rm, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const here = fileURLToPath(new URL(".", import.meta.url));
const page = join(here, "../ocg/gateway/page");
const fresh = `${page}.new`;

const common = {
  absWorkingDir: here,
  bundle: true,
  minify: true,
  metafile: true,
  target: ["chrome123", "firefox128", "safari17.5"],
  outdir: fresh,
  entryNames: "assets/[name]-[hash]",
  chunkNames: "assets/[name]-[hash]",
  assetNames: "assets/[name]-[hash]",
  legalComments: "none", // licenses.txt has them whole
  jsx: "automatic",
  jsxImportSource: "preact",
  logLevel: "warning",
};

// Three builds, since the theme must be set before the first paint: a classic script, which modules never are.
const parts = [
  { ...common, entryPoints: { app: "src/main.tsx" }, format: "esm", splitting: true },
  { ...common, entryPoints: { theme: "src/theme.boot.ts" }, format: "iife" },
  { ...common, entryPoints: { style: "src/style/main.css" } },
  { ...common, entryPoints: { icon: "src/icon.svg" }, loader: { ".svg": "copy" } },
];

function outputOf(result) {
  const found = Object.entries(result.metafile.outputs).find(([, output]) => output.entryPoint !== undefined);
  return `assets/${basename(found[0])}`;
}

async function writeIndex(folder, results) {
  const [app, theme, style, icon] = results.map(outputOf);
  const names = { app, theme, style, icon };
  const template = await readFile(join(here, "index.html"), "utf8");
  await writeFile(join(folder, "index.html"), template.replace(/%(\w+)%/g, (_, name) => names[name]));
}

/** What is bundled is redistributed, so its licences go along. */
async function writeLicenses(folder, results) {
  const inputs = results.flatMap((result) => Object.keys(result.metafile.inputs));
  const packages = new Set(inputs.map((path) => /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1]).filter(Boolean));
  const texts = [];
  for (const name of [...packages].sort()) {
    const root = join(here, "node_modules", name);
    const { version, license } = JSON.parse(await readFile(join(root, "package.json"), "utf8"));
    const file = (await readdir(root)).find((one) => /^licen[cs]e/i.test(one));
    texts.push(`${name} ${version} (${license})\n\n${file ? await readFile(join(root, file), "utf8") : ""}`);
  }
  await writeFile(join(folder, "assets/licenses.txt"), texts.join(`\n${"-".repeat(80)}\n\n`));
}

async function compress(folder) {
  let total = 0;
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const data = await readFile(path);
    const br = brotliCompressSync(data, { params: { [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY } });
    const gz = gzipSync(data, { level: 9 });
    await Promise.all([writeFile(`${path}.br`, br), writeFile(`${path}.gz`, gz)]);
    if (!/highlight|licenses/.test(entry.name)) total += br.length; // those two come later, or never
  }
  console.log(`page: ${(total / 1024).toFixed(1)} KiB to load, compressed`);
}

await rm(fresh, { recursive: true, force: true });
await mkdir(fresh, { recursive: true });
const results = await Promise.all(parts.map((part) => build(part)));
await writeIndex(fresh, results);
await writeLicenses(fresh, results);
await compress(fresh);
// A gateway that runs meanwhile never sees half a page.
await rm(page, { recursive: true, force: true });
await rename(fresh, page);
