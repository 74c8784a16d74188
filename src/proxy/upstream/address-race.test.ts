import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { HandClock } from "../../base/testing/index.ts";
import type { ByteStream } from "../../net/index.ts";
import { attemptDelayMs, connectFirst } from "./address-race.ts";

interface Attempt {
  readonly address: string;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  readonly open: (stream: ByteStream) => void;
  readonly fail: (error: Error) => void;
}

function race(addresses: readonly string[], timeoutMs = 5000) {
  const clock = new HandClock();
  const attempts: Attempt[] = [];
  const won = connectFirst({
    addresses,
    timeoutMs,
    clock,
    connect: (address, leftMs, signal) =>
      new Promise((open, fail) => attempts.push({ address, timeoutMs: leftMs, signal, open, fail })),
  });
  return { clock, attempts, won, tried: () => attempts.map(({ address }) => address) };
}

function stream(): ByteStream & { destroyed: boolean } {
  const self = { destroyed: false, destroy: () => void (self.destroyed = true) };
  return self as unknown as ByteStream & { destroyed: boolean };
}

test("the next address is tried when the first takes long, and the first that answers wins", async () => {
  const { clock, attempts, won, tried } = race(["192.0.2.1", "192.0.2.2", "192.0.2.3"]);
  assert.deepEqual(tried(), ["192.0.2.1"]);
  clock.pass(attemptDelayMs);
  assert.deepEqual(tried(), ["192.0.2.1", "192.0.2.2"]);
  assert.equal(attempts[1]?.timeoutMs, 5000 - attemptDelayMs);
  const [late, winner] = [stream(), stream()];
  attempts[1]?.open(winner);
  assert.equal(await won, winner);
  assert.equal(attempts[0]?.signal.aborted, true);
  attempts[0]?.open(late);
  await setImmediate();
  assert.deepEqual([late.destroyed, winner.destroyed], [true, false]);
  clock.pass(10 * attemptDelayMs);
  assert.equal(attempts.length, 2, "nothing is tried after the end");
});

test("after a failed attempt the next address is tried at once, and the last error is reported", async () => {
  const { attempts, won, tried } = race(["192.0.2.1", "192.0.2.2"]);
  attempts[0]?.fail(new Error("refused"));
  await setImmediate();
  assert.deepEqual(tried(), ["192.0.2.1", "192.0.2.2"]);
  attempts[1]?.fail(new Error("unreachable"));
  await assert.rejects(won, /unreachable/);
});

test("an attempt that is still open can win after others have failed", async () => {
  const { clock, attempts, won } = race(["192.0.2.1", "192.0.2.2"]);
  clock.pass(attemptDelayMs);
  attempts[1]?.fail(new Error("refused"));
  await setImmediate();
  const winner = stream();
  attempts[0]?.open(winner);
  assert.equal(await won, winner);
});

test("the order of addresses alternates between the families", async () => {
  const { attempts, won, tried } = race(["2001:db8::1", "2001:db8::2", "192.0.2.1"]);
  const lost = assert.rejects(won);
  for (let done = 0; done < 3; done += 1) {
    attempts[done]?.fail(new Error("refused"));
    await setImmediate();
  }
  await lost;
  assert.deepEqual(tried(), ["2001:db8::1", "192.0.2.1", "2001:db8::2"]);
});
