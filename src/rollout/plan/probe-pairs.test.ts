import assert from "node:assert/strict";
import { test } from "node:test";
import { probePairs } from "./probe-pairs.ts";

test("the pairs of a scope are worked out once, and other revisions or data planes have other pairs", () => {
  const scope = { revisions: ["1-31-0", "1-31-1"], dataPlanes: ["sidecar", "ambient"] } as const;
  const pairs = probePairs(scope);
  assert.equal(probePairs({ revisions: [...scope.revisions], dataPlanes: [...scope.dataPlanes] }), pairs);
  const names = (some: ReturnType<typeof probePairs>): readonly string[] => some.map(({ name }) => name);
  const others = [
    probePairs({ ...scope, revisions: ["1-31-0", "1-31-2"] }),
    probePairs({ ...scope, dataPlanes: ["ambient"] }),
    probePairs({ revisions: ["1-31-0"], dataPlanes: scope.dataPlanes }),
  ];
  for (const other of others) assert.notDeepEqual(names(other), names(pairs));
});
