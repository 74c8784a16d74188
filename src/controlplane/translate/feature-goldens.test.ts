import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { parseAllDocuments } from "yaml";
import type { KubernetesObject } from "../../api/index.ts";
import { showFeature, type Feature } from "../testing/feature-fixture.ts";

// Each golden/features/<feature>.yaml begins with a document that selects what to show. The objects follow. A JSON file
// beside it has the resources that proxies get. UPDATE_GOLDEN=1 writes that file again.
const folder = new URL("golden/features/", import.meta.url);
const shop = documents(new URL("golden/shop.yaml", import.meta.url)) as KubernetesObject[];

function documents(file: URL): unknown[] {
  return parseAllDocuments(readFileSync(file, "utf8")).map((document) => document.toJSON() as unknown);
}

for (const file of readdirSync(folder).filter((name) => name.endsWith(".yaml"))) {
  test(`${file.replace(".yaml", "").replaceAll("-", " ")} gives proxies the recorded resources`, () => {
    const [feature, ...objects] = documents(new URL(file, folder)) as [Feature, ...KubernetesObject[]];
    const found: unknown = JSON.parse(JSON.stringify(showFeature(feature, [...shop, ...objects])));
    const golden = new URL(file.replace(".yaml", ".json"), folder);
    if (process.env["UPDATE_GOLDEN"] === "1") writeFileSync(golden, `${JSON.stringify(found, undefined, 1)}\n`);
    assert.deepEqual(found, JSON.parse(readFileSync(golden, "utf8")));
  });
}
