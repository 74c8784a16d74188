import assert from "node:assert/strict";
import { test } from "node:test";
import type { Contender } from "../decide/index.ts";
import { putBack, roundsOf, underWay } from "./testing/one-canary.ts";

test("a member that must follow its group's undo does not go on if that undo ends within the round", async () => {
  for (const isReadable of [false, true]) {
    const { board, ...canary } = roundsOf({ spec: { group: "g" }, status: { ...underWay, groupRun: "r" } });
    if (isReadable) canary.recover();
    const other = "Canary shop/cart";
    let looks = 0;
    const groupOf = board.groupOf.bind(board);
    // Somebody deletes the other member between the two looks at the group.
    board.groupOf = (seen) => {
      looks += 1;
      if (looks < 2) board.table.set({ ...putBack, key: other });
      else board.table.delete(other);
      return groupOf(seen);
    };
    await canary.run(1);
    assert.deepEqual([looks, canary.rightsAsked()], [2, 0]);
    assert.deepEqual([canary.status().phase, canary.version()], ["Progressing", 1]);
  }
});

test("a round works out its group once before it decides", async () => {
  const { board, ...canary } = roundsOf({ spec: { group: "g" }, status: { ...underWay, groupRun: "r" } });
  canary.recover();
  let looks = 0;
  const groupOf = board.groupOf.bind(board);
  board.groupOf = (seen) => {
    looks += 1;
    return groupOf(seen);
  };
  await canary.run(1);
  assert.equal(looks, 1);
});

const stranger: Contender = { ...putBack, key: "Canary attacker/x", namespace: "attacker", name: "x" };

test("a rollout that others name as a member of their group is not undone when those are rolled back", async () => {
  for (const isCompanion of [false, true]) {
    const { board, ...canary } = roundsOf({
      spec: { group: "g" },
      status: { ...underWay, groupRun: "r" },
      mayCreate: async () => await Promise.resolve(isCompanion),
    });
    canary.recover();
    board.table.set(stranger);
    await canary.run(1);
    assert.equal(canary.status().phase, isCompanion ? "RollingBack" : "Completed");
  }
});

test("an order to undo is followed although the API server does not say which members of the group count", async () => {
  for (const abort of [false, true]) {
    const { board, ...canary } = roundsOf({ spec: { group: "g", abort } });
    board.table.set(stranger);
    await canary.run(1);
    assert.equal(canary.status().phase, abort ? "RollingBack" : "Progressing");
  }
});
