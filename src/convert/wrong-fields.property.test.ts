import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { parseAllDocuments } from "yaml";
import type { UntypedObject } from "../api/index.ts";
import { sampled, wrongFields } from "../base/testing/index.ts";
import { convertRollouts } from "./convert.ts";

for (const file of ["argo.yaml", "flagger.yaml"])
  test(`${file}: no field of a wrong type in a spec makes the conversion throw`, () => {
    const objects = parseAllDocuments(readFileSync(join(import.meta.dirname, "testing", file), "utf8")).map(
      (document) => document.toJS() as UntypedObject,
    );
    const changes = objects.flatMap((object, index) =>
      [...wrongFields({ spec: object["spec"] })].map(({ title, object: changed }) => ({
        title: `${object.kind ?? ""} ${object.metadata.name ?? ""}: ${title}`,
        changed: objects.with(index, { ...object, spec: (changed as { readonly spec?: unknown }).spec }),
      })),
    );
    for (const { title, changed } of sampled(changes, 1000, 1))
      assert.doesNotThrow(() => convertRollouts(changed), title);
  });
