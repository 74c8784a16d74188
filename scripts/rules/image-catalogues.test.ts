import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { parse } from "yaml";

interface Entry {
  readonly images: readonly string[];
  readonly user?: string;
}

const root = join(import.meta.dirname, "../..");

function entriesOf(file: string): readonly Entry[] {
  const catalogue = parse(readFileSync(join(root, file), "utf8")) as readonly Entry[] | { images: readonly Entry[] };
  // A catalogue that a test adds to the usual one is only a list of images.
  return "images" in catalogue ? catalogue.images : catalogue;
}

/** Returns the name of an image without its registry and organization. */
function lastName(pattern: string): string {
  return pattern.slice(pattern.lastIndexOf("/") + 1);
}

// Charts forbid root in many pods, which leaves their user to the image.
test("an image of a test's catalogue has the user of the image that it stands for", () => {
  const users = new Map(
    entriesOf("manifests/images.yaml").flatMap(({ images, user }) => images.map((name) => [lastName(name), user])),
  );
  const files = globSync("test/interop/*/*images.yaml", { cwd: root });
  const compared = files.flatMap((file) =>
    entriesOf(file).flatMap(({ images, user }) =>
      images.filter((name) => users.has(lastName(name))).map((name) => ({ file, name, user })),
    ),
  );
  assert.ok(compared.some(({ name }) => lastName(name) === "pilot"));
  assert.deepEqual(
    compared.filter(({ name, user }) => user !== users.get(lastName(name))),
    [],
  );
});
