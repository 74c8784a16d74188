import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { makeAnswerMark, setMark } from "./answer-mark.ts";

const module = JSON.stringify(new URL("answer-mark.ts", import.meta.url).href);
const program = `
  const { parentPort, workerData } = require("node:worker_threads");
  import(${module}).then(({ awaitMark }) => {
    awaitMark(workerData);
    parentPort.postMessage(Atomics.load(workerData, 0));
  });
`;

test("a late notification of the previous answer does not end the wait for the next one", async () => {
  const mark = makeAnswerMark();
  const worker = new Worker(program, { eval: true, workerData: mark });
  const message = once(worker, "message") as Promise<[number]>;
  // Wake the thread three times. It must wait again each time.
  for (let woken = 0; woken < 3; woken += Atomics.notify(mark, 0))
    await Promise.race([
      new Promise((resolve) => setTimeout(resolve, 1)),
      message.then(() => assert.fail("the thread did not wait for its answer")),
    ]);
  setMark(mark);
  assert.deepEqual(await message, [0], "the mark is cleared for the next answer");
  await worker.terminate();
});
