import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { bundlePage } from "./bundle-page.ts";

const maxCompressedBytes = 350_000;
/** The test names this file, so that `npm test -- --changed` runs it for every module that the page imports. */
const entry = join(import.meta.dirname, "../web/main.tsx");

test("the page's scripts stay under 350 kB compressed, are preloaded by the document, and load nothing from elsewhere", async () => {
  const files = await bundlePage(dirname(entry));
  assert.deepEqual(
    ["icon.svg", "index.html", "page.css", "page.js"].filter((name) => !files.has(name)),
    [],
  );
  const scripts = [...files].filter(([name]) => name.endsWith(".js"));
  const bytes = scripts.reduce((sum, [, contents]) => sum + gzipSync(contents).length, 0);
  assert.ok(bytes < maxCompressedBytes, `${bytes} bytes`);
  const html = Buffer.from(files.get("index.html") ?? []).toString();
  const preloaded = [...html.matchAll(/rel="modulepreload" href="([^"]+)"/g)].map(([, name = ""]) => name);
  assert.ok(
    preloaded.length > 0 && preloaded.every((name) => files.has(name)),
    `what the page begins with is asked for at once: ${preloaded.join(", ")}`,
  );
  assert.doesNotMatch(html, /<script(?![^>]*src=)|style=|https?:\/\//);
});
