import assert from "node:assert/strict";
import { test } from "node:test";
import { readCompliancePolicy } from "./index.ts";

test("an unknown compliance policy is refused, because it would have no effect", () => {
  const read = (policy: string | undefined) => readCompliancePolicy({ COMPLIANCE_POLICY: policy });
  assert.deepEqual([undefined, "", "fips-140-2", "fips-140-3", "pqc"].map(read), [
    undefined,
    undefined,
    "fips-140-2",
    "fips-140-3",
    "pqc",
  ]);
  for (const policy of ["PQC", "fips", "true", " pqc"])
    assert.throws(() => read(policy), {
      code: "env-invalid",
      message: `COMPLIANCE_POLICY must be empty or one of fips-140-2, fips-140-3, pqc, got "${policy}"`,
    });
});
