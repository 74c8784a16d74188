import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { ScrapeTurns } from "./index.ts";

test("one scrape goes on in each round, and namespaces take turns", async () => {
  const turns = new ScrapeTurns();
  const given: string[] = [];
  const rounds: number[] = [];
  let round = 0;
  const scrape = async (namespace: string, slices: number): Promise<void> => {
    for (let slice = 0; slice < slices; slice += 1) {
      await turns.next(namespace);
      given.push(namespace);
      rounds.push(round);
    }
  };
  const scrapes = [scrape("greedy", 3), scrape("greedy", 3), scrape("modest", 2)];
  for (; given.length < 8; round += 1) await setImmediate();
  await Promise.all(scrapes);
  assert.deepEqual(given.slice(0, 4), ["greedy", "modest", "greedy", "modest"]);
  assert.equal(new Set(rounds).size, 8);
});
