import assert from "node:assert/strict";
import { test } from "node:test";
import { HandClock } from "../../base/testing/index.ts";
import type { ByteStream } from "../../net/index.ts";
import type { AcceptedKind } from "../proxy/connection-share.ts";
import { ShareMemory } from "./share-memory.ts";
import { WorkerShare } from "./worker-share.ts";

test("a worker accepts more of the waiting connections only while it would not offer them to another", () => {
  const memory = new ShareMemory(ShareMemory.memory(2));
  for (const worker of [0, 1]) memory.begin(worker);
  const share = new WorkerShare(memory, 0, () => Promise.resolve(true), new HandClock());
  const served: Disposable[] = [];
  while (share.keeps("outbound")) {
    assert.equal(memory.better(0, "outbound"), undefined);
    served.push(share.serve("outbound"));
  }
  assert.equal(served.length, 3);
  assert.equal(share.keeps("inbound-plaintext"), true);
  served.pop()?.[Symbol.dispose]();
  assert.equal(share.keeps("outbound"), true);
  memory.add(1, "outbound", 1);
  served.push(share.serve("outbound"));
  assert.equal(share.keeps("outbound"), true);
});

test("a worker keeps connections so short that all of its connections are replaced within a second", () => {
  const memory = new ShareMemory(ShareMemory.memory(2));
  for (const worker of [0, 1]) memory.begin(worker);
  const clock = new HandClock();
  const share = new WorkerShare(memory, 0, () => Promise.resolve(true), clock);
  const open: Disposable[] = [];
  const replaceAll = (): void => {
    for (const connection of open.splice(0)) {
      connection[Symbol.dispose]();
      open.push(share.serve("outbound"));
    }
  };
  while (open.length < 20) open.push(share.serve("outbound"));
  assert.equal(share.keeps("outbound"), false);
  clock.pass(800);
  replaceAll();
  assert.equal(share.keeps("outbound"), true);
  for (let turn = 0; turn < 3; turn += 1) {
    clock.pass(800);
    assert.equal(share.keeps("outbound"), true);
    replaceAll();
  }
  assert.equal(share.keeps("inbound-plaintext"), true);
  clock.pass(2000);
  assert.equal(share.keeps("outbound"), false);
});

/**
 * Whether a worker keeps new connections after its 8 connections have ended together at this age, and 8 new ones were
 * accepted.
 */
function keepsAfterEnd(kind: AcceptedKind, ageMs: number): boolean {
  const memory = new ShareMemory(ShareMemory.memory(2));
  for (const worker of [0, 1]) memory.begin(worker);
  const clock = new HandClock();
  const share = new WorkerShare(memory, 0, () => Promise.resolve(true), clock);
  const ended = Array.from({ length: 8 }, () => share.serve(kind));
  clock.pass(ageMs);
  for (const connection of ended) connection[Symbol.dispose]();
  for (let count = 0; count < 8; count += 1) share.serve(kind);
  return share.keeps(kind);
}

test("connections that end together after they have lived long do not make a worker keep those that follow", () => {
  for (const kind of ["outbound", "inbound-plaintext"] as const)
    assert.deepEqual([keepsAfterEnd(kind, 999), keepsAfterEnd(kind, 60_000)], [true, false], kind);
});

test("short HBONE connections do not make a worker keep the long ones that follow", () => {
  assert.deepEqual([keepsAfterEnd("inbound-hbone", 10), keepsAfterEnd("inbound-hbone", 60_000)], [false, false]);
});

/** Two workers, of which the first has offered a connection to the second, which has not answered yet. */
function offered() {
  const memory = new ShareMemory(ShareMemory.memory(2));
  for (const worker of [0, 1]) memory.begin(worker);
  const answer = Promise.withResolvers<boolean>();
  const clock = new HandClock();
  const share = new WorkerShare(memory, 0, () => answer.promise, clock);
  share.serve("inbound-hbone");
  const outcome = share.offer("uid", "inbound-hbone", accepted);
  assert.equal(memory.served(1, "inbound-hbone"), 1);
  return { memory, answer, outcome, share, clock };
}

const accepted = { fd: 1, remote: { address: "10.0.0.1", port: 1 } } as ByteStream;

test("an offered connection counts for its worker until the answer, also if that worker dies meanwhile", async () => {
  const { memory, answer, outcome } = offered();
  memory.clear(1);
  memory.begin(1);
  answer.reject(new Error("the worker has ended"));
  assert.equal(await outcome, false);
  assert.equal(memory.served(1, "inbound-hbone"), 0);
});

test("an offered connection no longer counts when the worker that offered it has died", () => {
  const { memory } = offered();
  memory.clear(0);
  assert.equal(memory.served(1, "inbound-hbone"), 0);
});

test("connections do not wait for a worker that does not answer an offer, until it answers", async () => {
  const { share, clock, answer, outcome } = offered();
  for (let count = 0; count < 5; count += 1) share.serve("inbound-hbone");
  clock.pass(1000);
  assert.equal(share.keeps("inbound-hbone"), false);
  clock.pass(1);
  assert.equal(share.keeps("inbound-hbone"), true);
  assert.equal(share.offer("uid", "inbound-hbone", accepted), undefined);
  answer.resolve(true);
  await outcome;
  assert.equal(share.keeps("inbound-hbone"), false);
});
