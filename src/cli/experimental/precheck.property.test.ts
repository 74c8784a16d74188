import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { readManifest } from "../../analyze/index.ts";
import type { UntypedObject } from "../../api/index.ts";
import { istioKinds } from "../../api/istio/index.ts";
import { sampled, wrongFields } from "../../base/testing/index.ts";
import { createProgram } from "../program.ts";
import { FakeContext } from "../testing/fake-context.ts";

const cases = join(import.meta.dirname, "../../analyze/testing/cases");

async function istioObjects(): Promise<readonly UntypedObject[]> {
  const kinds = new Set(istioKinds.map(({ kind }) => kind));
  const read = globSync(join(cases, "*.yaml")).map(
    async (file) => await readManifest(file, readFileSync(file, "utf8")),
  );
  return (await Promise.all(read)).flatMap(({ resources }) =>
    resources.flatMap(({ object }) => (kinds.has(object.kind ?? "") ? [object] : [])),
  );
}

async function precheck(object: UntypedObject): Promise<string> {
  const context = new FakeContext({ objects: { [object.kind ?? ""]: [object] } });
  const failure = createProgram(context)
    .parseAsync(["x", "precheck"])
    .then(
      () => "",
      (error: unknown) => String(error),
    );
  return `${await failure}\n${context.output}`;
}

test("precheck judges every stored object of Istio, whatever fields of a wrong type it has", async () => {
  const objects = await istioObjects();
  assert.ok(objects.length > 50, `${objects.length}`);
  const changes = objects.flatMap((object) =>
    [...wrongFields({ spec: object["spec"] })].map(({ title, object: changed }) => ({
      title: `${object.kind ?? ""}: ${title}`,
      object: { ...object, ...(changed as object) },
    })),
  );
  for (const { title, object } of sampled(changes, 500, 1))
    assert.match(await precheck(object), /^SerinError: Issues found when checking the cluster/, title);
});
