import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { silentLogger, systemClock } from "../../base/index.ts";
import { LoadBalancerForwards } from "./load-balancer-forwards.ts";

const stateDirectory = mkdtempSync(join(tmpdir(), "serin-forwards-"));
after(() => rmSync(stateDirectory, { recursive: true }));

test("a disk that is too full for the file of addresses does not end the lab, and the file is written later", () => {
  const planned: (() => void)[] = [];
  const clock = {
    ...systemClock,
    after: (_ms: number, run: () => void) => {
      planned.push(run);
      return { [Symbol.dispose]: () => undefined };
    },
  };
  const forwards = new LoadBalancerForwards({
    stateDirectory,
    log: silentLogger,
    clock,
    listen: () => Promise.reject(new Error("no port is needed here")),
  });
  const path = join(stateDirectory, "urls.json");
  rmSync(path);
  mkdirSync(`${path}.new`);
  forwards.update("worker", []);
  planned.shift()?.();
  assert.equal(planned.length, 1);
  rmdirSync(`${path}.new`);
  planned.shift()?.();
  assert.deepEqual([readFileSync(path, "utf8"), planned.length], ["[]\n", 0]);
});
