import assert from "node:assert/strict";
import { setImmediate as turn } from "node:timers/promises";
import { test } from "node:test";
import { SerinError, transientError } from "../../base/index.ts";
import { HandClock } from "../../base/testing/index.ts";
import type { SecureStream } from "../../net/index.ts";
import { HbonePool } from "./hbone-pool.ts";
import type { HboneTarget } from "./hbone-types.ts";

interface Dialed {
  readonly timeoutMs: number;
  readonly fail: (error: Error) => void;
}

/** A pool whose dials end when the test ends them, or after their time limit, as if a peer did not answer. */
function unansweredPool() {
  const clock = new HandClock();
  const dialed: Dialed[] = [];
  const signals: (AbortSignal | undefined)[] = [];
  const pool = new HbonePool({
    clock,
    dial: async (_target, timeoutMs, signal) => {
      signals.push(signal);
      const { promise, reject } = Promise.withResolvers<SecureStream>();
      dialed.push({ timeoutMs, fail: reject });
      clock.after(timeoutMs, () => reject(transientError("timeout", `no handshake in ${timeoutMs} ms`)));
      return await promise;
    },
  });
  /** Returns the attempt. Its `error` is the message of the failure, or absent while the connect is in progress. */
  const connect = (timeoutMs: number, target: Partial<HboneTarget> = {}) => {
    const attempt: { error?: string } = {};
    void pool
      .connect({
        sourceIdentity: "spiffe://cluster.local/ns/default/sa/me",
        address: "10.0.0.1",
        port: 15_008,
        expectedIdentities: [],
        authority: "10.0.0.1:80",
        headers: [],
        timeoutMs,
        ...target,
      })
      .catch((error: unknown) => {
        assert.ok(error instanceof SerinError);
        attempt.error = `${error.code}: ${error.message}`;
      });
    return attempt;
  };
  const pass = async (ms: number): Promise<void> => {
    clock.pass(ms);
    await turn();
  };
  return { dialed, signals, connect, pass, close: () => pool.close() };
}

test("a connect that shares another one's dial keeps its own time limit, and dials again if the other's limit is over", async () => {
  const { dialed, connect, pass } = unansweredPool();
  const first = connect(2_000);
  await pass(1_900);
  const last = connect(10_000);
  await pass(100);
  assert.equal(first.error, "timeout: no handshake in 2000 ms");
  assert.equal(last.error, undefined);
  assert.deepEqual(
    dialed.map(({ timeoutMs }) => timeoutMs),
    [2_000, 9_900],
  );
  await pass(9_900);
  assert.equal(last.error, "timeout: no handshake in 9900 ms");
});

test("a connect does not wait longer than its own time limit for another one's dial", async () => {
  const { dialed, connect, pass } = unansweredPool();
  const patient = connect(10_000);
  const hasty = connect(2_000);
  await pass(2_000);
  assert.equal(hasty.error, "timeout: no connection to 10.0.0.1:15008 within 2000 ms");
  assert.equal(patient.error, undefined);
  assert.equal(dialed.length, 1);
});

test("a dial that fails for another reason than time fails all that share it", async () => {
  const { dialed, connect, pass } = unansweredPool();
  const attempts = [connect(2_000), connect(10_000)];
  await pass(0);
  dialed[0]?.fail(transientError("connection-refused", "refused"));
  await pass(0);
  assert.deepEqual(
    attempts.map(({ error }) => error),
    ["connection-refused: refused", "connection-refused: refused"],
  );
  assert.equal(dialed.length, 1);
});

test("connects share a connection only if their targets are equal in every field, whatever the order of identities", async () => {
  const { dialed, connect, pass } = unansweredPool();
  const targets: readonly Partial<HboneTarget>[] = [
    {},
    { sourceIdentity: "spiffe://cluster.local/ns/default/sa/other" },
    { address: "10.0.0.2" },
    { port: 15_009 },
    { expectedIdentities: ["a"] },
    { expectedIdentities: ["a", "b"] },
    { destinationId: "uid" },
    { namespaceFd: 5 },
    { mark: 1337 },
    { sourceAddress: "10.0.0.9" },
  ];
  for (const target of targets) connect(2_000, target);
  await pass(0);
  assert.equal(dialed.length, targets.length);
  for (const target of targets) connect(2_000, target);
  connect(2_000, { expectedIdentities: ["b", "a"] });
  await pass(0);
  assert.equal(dialed.length, targets.length);
  // Each failed target is forgotten separately.
  dialed[0]?.fail(transientError("connection-refused", "refused"));
  await pass(0);
  connect(2_000);
  connect(2_000, { mark: 1337 });
  await pass(0);
  assert.equal(dialed.length, targets.length + 1);
});

test("a pool that closes ends its dials, so that none uses a namespace that its owner closes too", async () => {
  const { signals, connect, pass, close } = unansweredPool();
  connect(2_000);
  await pass(0);
  assert.equal(signals[0]?.aborted, false);
  close();
  assert.equal(signals[0]?.aborted, true);
  const late = connect(2_000);
  await pass(0);
  assert.equal(late.error, "draining: pool draining");
  assert.equal(signals.length, 1);
});
