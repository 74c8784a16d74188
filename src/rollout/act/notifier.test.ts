import assert from "node:assert/strict";
import { test } from "node:test";
import type { Clock } from "../../base/index.ts";
import { notificationEvents } from "../../api/serin/index.ts";
import { Notifier, type Notification } from "./notifier.ts";

const clock: Clock = {
  nowMs: () => 0,
  steadyMs: () => 0,
  sleep: async () => undefined,
  after: () => ({ [Symbol.dispose]: () => undefined }),
};
const note: Notification = {
  event: "Completed",
  kind: "Canary",
  namespace: "shop",
  name: "cart",
  step: "",
  message: "done",
  cause: "",
  at: "2026-01-01T00:00:00Z",
};
const all = { url: "http://one", events: notificationEvents };

async function settled(): Promise<void> {
  for (let turn = 0; turn < 50; turn += 1) await Promise.resolve();
}

test("each webhook gets the events that it subscribed to, as JSON", async () => {
  const posted: string[] = [];
  const notifier = new Notifier({
    clock,
    post: async (url, body) => void posted.push(`${url} ${(JSON.parse(body) as Notification).name}`),
    onFailure: () => assert.fail("nothing fails"),
  });
  notifier.notify([all, { url: "http://two", events: ["Stuck"] }], note);
  await settled();
  assert.deepEqual(posted, ["http://one cart"]);
});

test("a webhook that does not answer is retried a few times, then reported as failed, without delaying others", async () => {
  const failures: string[] = [];
  let attempts = 0;
  const posted: string[] = [];
  const notifier = new Notifier({
    clock,
    post: async (url) => {
      if (url !== "http://dead/hooks/secret") return void posted.push(url);
      attempts += 1;
      throw new Error("connection refused");
    },
    onFailure: (_note, url, problem) => void failures.push(`${url}: ${problem}`),
  });
  notifier.notify([{ ...all, url: "http://dead/hooks/secret" }, all], note);
  await settled();
  assert.deepEqual([attempts, failures, posted], [4, ["http://dead: 4 attempts: connection refused"], ["http://one"]]);
});

test("events beyond the queue's bound are dropped and reported", async () => {
  let dropped = 0;
  const notifier = new Notifier({
    clock,
    post: async () => await new Promise(() => undefined),
    onFailure: () => void (dropped += 1),
  });
  for (let count = 0; count < 300; count += 1) notifier.notify([all], note);
  await settled();
  assert.equal(dropped, 300 - 256 - 2, "two are being posted");
});

test("a namespace whose webhooks never answer neither delays nor displaces the notifications of others", async () => {
  const posted: string[] = [];
  const lost: string[] = [];
  const notifier = new Notifier({
    clock,
    post: async (url, _body, _timeoutMs, { namespace, name }) => {
      if (namespace === "attacker") await new Promise(() => undefined);
      posted.push(`${url} ${name}`);
    },
    onFailure: ({ namespace }) => void lost.push(namespace),
  });
  const flood = { ...note, namespace: "attacker" };
  for (let count = 0; count < 300; count += 1) notifier.notify([all], flood);
  notifier.notify([all], note);
  for (let count = 0; count < 300; count += 1) notifier.notify([all], flood);
  await settled();
  assert.deepEqual(posted, ["http://one cart"]);
  assert.deepEqual([...new Set(lost)], ["attacker"]);
});
