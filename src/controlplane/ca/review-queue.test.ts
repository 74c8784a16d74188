import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { ReviewQueue } from "./review-queue.ts";

/** The API server answers only when the test lets it. */
function rig(bounds: ConstructorParameters<typeof ReviewQueue>[0]) {
  const queue = new ReviewQueue(bounds);
  const open: { readonly address: string; readonly answer: () => void }[] = [];
  let most = 0;
  const review = (address: string): Promise<void> =>
    queue.run(address, async () => {
      const { promise, resolve } = Promise.withResolvers<void>();
      open.push({ address, answer: resolve });
      most = Math.max(most, open.length);
      await promise;
    });
  const answerFirst = async (): Promise<string> => {
    const first = open.shift();
    first?.answer();
    await setImmediate();
    return first?.address ?? "";
  };
  return { review, answerFirst, under: () => open.map(({ address }) => address), most: () => most };
}

test("reviews are limited in total and for each address, and waiting ones run when another ends", async () => {
  const { review, answerFirst, under, most } = rig({
    running: 3,
    runningPerAddress: 2,
    waiting: 100,
    waitingPerAddress: 10,
  });
  const reviews = [review("a"), review("a"), review("a"), review("b"), review("b"), review("c")];
  await setImmediate();
  assert.deepEqual(under(), ["a", "a", "b"]);
  const order: string[] = [];
  while (under().length > 0) order.push(await answerFirst());
  await Promise.all(reviews);
  assert.deepEqual(order.sort(), ["a", "a", "a", "b", "b", "c"]);
  assert.equal(most(), 3);
});

test("an address that floods the queue gets a transient error, and reviews of other addresses run between its own", async () => {
  const { review, answerFirst, under } = rig({ running: 2, runningPerAddress: 2, waiting: 100, waitingPerAddress: 5 });
  const flood = Array.from({ length: 20 }, () =>
    review("flood").then(
      () => "taken",
      (error: unknown) => String(error),
    ),
  );
  const other = review("other");
  await setImmediate();
  assert.deepEqual(under(), ["flood", "flood"]);
  await answerFirst();
  await answerFirst();
  assert.ok(under().includes("other"), `after two answers ${under().join(", ")} were asked for`);
  while (under().length > 0) await answerFirst();
  await other;
  const results = await Promise.all(flood);
  assert.equal(results.filter((result) => result === "taken").length, 7);
  assert.match(results.at(-1) ?? "", /too many callers from flood wait/);
});

test("the total of waiting reviews is limited, and a review that fails frees its place", async () => {
  const bounds = { running: 1, runningPerAddress: 1, waiting: 2, waitingPerAddress: 2 };
  const queue = new ReviewQueue(bounds);
  const failed = queue.run("a", () => Promise.reject(new Error("away")));
  const second = queue.run("b", () => Promise.resolve("b"));
  const third = queue.run("c", () => Promise.resolve("c"));
  await assert.rejects(
    queue.run("d", () => Promise.resolve("d")),
    /too many callers wait/,
  );
  await assert.rejects(failed, /away/);
  assert.deepEqual(await Promise.all([second, third]), ["b", "c"]);
  assert.equal(await queue.run("d", () => Promise.resolve("d")), "d");
});
