import assert from "node:assert/strict";
import { test } from "node:test";
import { suspicion } from "../base/testing/index.ts";
import { jsonNames } from "./json-names.ts";
import { certificatesIn } from "./secret-rows.ts";

test("the beginnings of certificates without an end, which a pod reports, are read in linear time", () => {
  assert.equal(
    suspicion(certificatesIn, (size) => "-----BEGIN CERTIFICATE-----\n".repeat(size / 28), 400_000),
    undefined,
  );
});

test("a name with many underscores, which a pod reports, is read in linear time", () => {
  const rename = (name: string): unknown => jsonNames({ [name]: 1 });
  assert.equal(
    suspicion(rename, (size) => `a${"_".repeat(size)}`, 40_000),
    undefined,
  );
  assert.deepEqual(jsonNames({ a_b__c: 1, d_: 2 }), { aBC: 1, d_: 2 });
});
