import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../clock.ts";
import { LimitedThread } from "./limited-thread.ts";

const program = new URL(
  `data:text/javascript,${encodeURIComponent(`
    import { parentPort } from "node:worker_threads";
    parentPort.on("message", async ({ task: { how, ms } }) => {
      if (how === "wait") await new Promise((resolve) => setTimeout(resolve, ms));
      else for (const end = process.threadCpuUsage().user + ms * 1000; process.threadCpuUsage().user < end; );
      parentPort.postMessage({ answer: how });
    });
    parentPort.postMessage("ready");
  `)}`,
);

type Task = { readonly how: "wait" | "work"; readonly ms: number };

test("a task is limited by its processor time, not by the time that it waits", async () => {
  const thread = new LimitedThread<Task, string>(program, systemClock);
  const patient = await thread.ask({ how: "wait", ms: 400 }, { workMs: 100, waitMs: 60_000 });
  assert.deepEqual(patient, { kind: "answer", answer: "wait" });
  const busy = await thread.ask({ how: "work", ms: 60_000 }, { workMs: 100, waitMs: 60_000 });
  assert.deepEqual(busy, { kind: "overdue" });
  assert.ok(thread.hasEnded);
});

test("a task that waits too long also ends its thread", async () => {
  const thread = new LimitedThread<Task, string>(program, systemClock);
  assert.deepEqual(await thread.ask({ how: "wait", ms: 60_000 }, { workMs: 100, waitMs: 300 }), { kind: "overdue" });
  assert.ok(thread.hasEnded);
});
