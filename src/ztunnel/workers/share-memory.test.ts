import assert from "node:assert/strict";
import { test } from "node:test";
import type { AcceptedKind } from "../proxy/connection-share.ts";
import { ShareMemory } from "./share-memory.ts";

function memoryOf(workers: number): ShareMemory {
  const memory = new ShareMemory(ShareMemory.memory(workers));
  for (let worker = 0; worker < workers; worker += 1) memory.begin(worker);
  return memory;
}

/** The number of connections that each worker serves if worker 0 accepts all of them. */
function shares(memory: ShareMemory, workers: number, kind: AcceptedKind, connections: number): number[] {
  const counts = Array.from({ length: workers }, () => 0);
  for (let index = 0; index < connections; index += 1) {
    const to = memory.better(0, kind) ?? 0;
    memory.add(to, kind, 1);
    counts[to] = (counts[to] ?? 0) + 1;
  }
  return counts;
}

test("tunnels are shared among workers evenly to one, and other connections within 5 %", () => {
  assert.deepEqual(shares(memoryOf(2), 2, "inbound-hbone", 5), [3, 2]);
  assert.deepEqual(shares(memoryOf(3), 3, "inbound-hbone", 9), [3, 3, 3]);
  const [most = 0, least = 0] = shares(memoryOf(2), 2, "outbound", 1000).toSorted((a, b) => b - a);
  assert.equal(most + least, 1000);
  assert.ok(most - least <= 50, `${most} and ${least}`);
  assert.deepEqual(shares(memoryOf(2), 2, "inbound-plaintext", 3), [3, 0], "to move few costs more than it is worth");
});

test("kinds are counted separately, and a dead worker gets nothing until it is replaced", () => {
  const memory = memoryOf(2);
  memory.add(0, "outbound", 1);
  assert.equal(memory.better(0, "inbound-hbone"), undefined);
  memory.add(0, "inbound-hbone", 1);
  assert.equal(memory.better(0, "inbound-hbone"), 1);
  assert.equal(memory.better(1, "inbound-hbone"), undefined);
  memory.setOpen(0, 4);
  memory.setOpen(1, 3);
  assert.equal(memory.open(), 7);
  memory.clear(1);
  assert.equal(memory.open(), 4);
  assert.equal(memory.better(0, "inbound-hbone"), undefined);
  memory.begin(1);
  assert.equal(memory.better(0, "inbound-hbone"), 1);
});
