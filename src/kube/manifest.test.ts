import assert from "node:assert/strict";
import { test } from "node:test";
import { SerinError } from "../base/index.ts";
import { objectsInManifest } from "./manifest.ts";

async function read(manifest: string): Promise<unknown[]> {
  const objects: unknown[] = [];
  for await (const object of objectsInManifest(manifest)) objects.push(object);
  return objects;
}

test("an unreadable document is a user error with its number", async () => {
  const good = "kind: A\n---\n";
  for (const bad of [
    "a: *nobody",
    "a: [",
    "a: &x [*x]\n<<: *y",
    "{",
    '{"a": }',
    "[".repeat(8000),
    "{a: ".repeat(8000),
    `${"- ".repeat(20_000)}a`,
    `{"a":${"[".repeat(100_000)}`,
  ])
    await assert.rejects(
      read(good + bad),
      (error) =>
        error instanceof SerinError && error.kind === "user" && error.message.startsWith("document 2 of the manifest"),
      bad.slice(0, 20),
    );
});

test("documents are read one by one, and empty ones are skipped", async () => {
  assert.deepEqual(await read('---\nkind: A\n--- \n\n---\n{"kind":"B"}\n'), [{ kind: "A" }, { kind: "B" }]);
});

test("a document of comments is skipped, and comments before an object are not", async () => {
  assert.deepEqual(await read('# head\r\n\n  # more\n---\n# of A\nkind: A\n---\n# of B\n{"kind":"B"}\n'), [
    { kind: "A" },
    { kind: "B" },
  ]);
});
