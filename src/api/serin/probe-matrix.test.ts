import assert from "node:assert/strict";
import { test } from "node:test";
import { renderMatrix, type ProbePair } from "./probe-matrix.ts";

const sidecar = { revision: "old", dataPlane: "sidecar" } as const;
const ambient = { revision: "new", dataPlane: "ambient" } as const;
const none = { revision: "", dataPlane: "none" } as const;

test("the matrix is a table of clients and servers, with the problems below", () => {
  const pair: ProbePair = {
    from: sidecar,
    to: ambient,
    expected: "answer",
    ok: 25,
    failed: 0,
    mutualTls: "yes",
    clientIdentity: "",
    serverIdentity: "",
    p50Ms: 3,
    lastError: "",
    problem: "",
  };
  const text = renderMatrix({
    pairs: [
      { ...pair, to: sidecar },
      { ...pair, mutualTls: "mixed", problem: "5 of 25 in plain text" },
      {
        ...pair,
        from: none,
        expected: "refusal",
        ok: 20,
        failed: 5,
        mutualTls: "unknown",
        problem: "accepted without mTLS",
      },
    ],
  });
  assert.equal(
    text,
    `CLIENT \\ SERVER   old sidecar     new ambient
old sidecar       ✔ 25 mTLS 3ms   ✖ 25 part plain 3ms
no mesh                           ✖ 20/25 refused
✖ old sidecar -> new ambient: 5 of 25 in plain text
✖ no mesh -> new ambient: accepted without mTLS
`,
  );
});
