import assert from "node:assert/strict";
import { test } from "node:test";
import { suspicion } from "../base/testing/index.ts";
import { certificatesIn } from "./secret-rows.ts";

test("the beginnings of certificates without an end, which a pod reports, are read in linear time", () => {
  assert.equal(
    suspicion(certificatesIn, (size) => "-----BEGIN CERTIFICATE-----\n".repeat(size / 28), 400_000),
    undefined,
  );
});
