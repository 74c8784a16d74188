import assert from "node:assert/strict";
import { test } from "node:test";
import { everyKubeletRunsSidecars } from "./native-sidecars.ts";

test("nodes run sidecar containers if each kubelet is of 1.33 or newer, and at least one is known", () => {
  assert.equal(everyKubeletRunsSidecars(["v1.33.0", "1.36.1-eks-1", "v2.0.0"]), true);
  assert.equal(everyKubeletRunsSidecars(["v1.36.0", "v1.32.9"]), false);
  assert.equal(everyKubeletRunsSidecars(["v1.36.0", "unknown"]), false);
  assert.equal(everyKubeletRunsSidecars([]), false);
});
