import assert from "node:assert/strict";
import { test } from "node:test";
import type { LadderProxy, LadderRevision, LadderRung } from "../../../api/dashboard/index.ts";
import { groupRungs, ladderColumns, rejections, rungSentence, rungState } from "./rung-state.ts";

const rung = (more: Partial<LadderRung> = {}): LadderRung => ({
  kind: "namespace",
  namespace: "",
  name: "shop",
  at: { "1-31-0": 1 },
  pods: { "1-31-0": 4 },
  wanted: "1-31-0",
  goingTo: "",
  blockedBy: [],
  waitsFor: [],
  ...more,
});
const revision = (name: string, version: string): LadderRevision => ({
  name,
  version,
  tags: [],
  podsReady: 1,
  pods: 1,
  root: "",
  proxies: 0,
});

test("a blocked rung is shown as blocked even while it moves", () => {
  assert.equal(rungState(rung()), "there");
  assert.equal(rungState(rung({ goingTo: "1-31-1" })), "moving");
  assert.equal(rungState(rung({ goingTo: "1-31-1", blockedBy: ["pod a"] })), "blocked");
  assert.equal(rungState(rung({ goingTo: "1-31-1", waitsFor: ["waits until a person approves it"] })), "waiting");
  assert.equal(
    rungState(rung({ goingTo: "1-31-1", blockedBy: ["pod a"], waitsFor: ["waits until a person approves it"] })),
    "blocked",
  );
  assert.equal(rungState(rung({ wanted: "1-31-1" })), "behind");
  assert.equal(rungState(rung({ wanted: "", at: {}, pods: {} })), "outside");
});

test("revisions are sorted by version numerically, and one that is only named has its column", () => {
  const revisions = { b: revision("1-31-10", "1.31.10"), a: revision("1-31-9", "1.31.9") };
  assert.deepEqual(ladderColumns(revisions, { x: rung({ at: { "1-30-0": 1, gone: 0 }, wanted: "" }) }), [
    "1-31-9",
    "1-31-10",
    "1-30-0",
  ]);
});

test("rungs are sorted in the order of an upgrade, and by name within a kind", () => {
  const groups = groupRungs({
    a: rung({ name: "b10" }),
    b: rung({ name: "b9" }),
    c: rung({ kind: "control plane", name: "istiod" }),
  });
  assert.deepEqual(
    groups.map(({ kind, rungs }) => [kind, rungs.map(([key]) => key)]),
    [
      ["control plane", ["c"]],
      ["namespace", ["b", "a"]],
    ],
  );
});

test("rejections are grouped by reason, the most frequent first", () => {
  const proxy = (pod: string, state: LadderProxy["state"], reason: string): LadderProxy => ({
    pod,
    namespace: "shop",
    type: "sidecar",
    revision: "r",
    version: "v",
    node: "n",
    state,
    reason,
  });
  const found = rejections({
    a: proxy("a", "rejected", "x"),
    b: proxy("b", "rejected", "y"),
    c: proxy("c", "rejected", "y"),
    d: proxy("d", "stale", "y"),
  });
  assert.deepEqual(
    found.map(({ reason, proxies }) => [reason, proxies.map(({ pod }) => pod)]),
    [
      ["y", ["b", "c"]],
      ["x", ["a"]],
    ],
  );
});

test("a rung has a sentence that describes it", () => {
  assert.equal(
    rungSentence(
      rung({
        at: { "1-31-0": 0.5, "1-31-1": 0.5 },
        pods: { "1-31-0": 2, "1-31-1": 2 },
        goingTo: "1-31-1",
        blockedBy: ["pod cart-1 is not ready"],
      }),
    ),
    "50 % on 1-31-0 (2 pods) and 50 % on 1-31-1 (2 pods), moving to 1-31-1, blocked by pod cart-1 is not ready",
  );
});
