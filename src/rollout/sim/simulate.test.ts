import assert from "node:assert/strict";
import { test } from "node:test";
import { scenarioOf } from "./scenario.ts";
import { shrink } from "./shrink.ts";
import { simulate } from "./simulate.ts";

const seeds = 150;
/** Seeds that failed once, each for a different reason. */
const kept = [277, 478, 736, 1105, 6808, 10_570, 17_573, 18_329, 19_267];

test("no seed of crashes, losses, delays and foreign writes breaks an invariant", () => {
  for (const seed of [...Array.from({ length: seeds }, (_one, index) => index + 1), ...kept]) {
    const { failure } = simulate(scenarioOf(seed));
    if (failure === undefined) continue;
    const { result, scenario } = shrink(scenarioOf(seed));
    assert.fail(
      `seed ${seed}: ${failure}\nreplay it: npm run sim -- --seed ${seed}\n${JSON.stringify(scenario)}\n${result.history.join("\n")}`,
    );
  }
});

test("a seed always gives the same simulation", () => {
  assert.deepEqual(simulate(scenarioOf(7)), simulate(scenarioOf(7)));
});
