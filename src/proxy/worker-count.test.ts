import assert from "node:assert/strict";
import { test } from "node:test";
import { readSettings } from "./proxy-settings.ts";
import { workerCount as countOf, type MachineBounds, type WorkerCount } from "../base/worker-count/index.ts";

function workerCount(value: unknown, bounds: MachineBounds, cpuLimit: number | undefined): WorkerCount {
  return countOf({ setting: "concurrency", value, cpuLimit }, bounds);
}

const machine = { cores: 8, maxDescriptors: 1_048_576 };

test("concurrency: one worker by default, one for each core at 0, else the given number", () => {
  assert.deepEqual(workerCount(undefined, machine, 2), { count: 1 });
  assert.deepEqual(workerCount(0, machine, undefined), { count: 8 });
  assert.deepEqual(workerCount(3, machine, undefined), { count: 3 });
  assert.deepEqual(workerCount("2", machine, undefined), { count: 2 }, "protobuf's JSON takes numbers in quotes");
});

for (const [concurrency, count, words] of [
  [-1, 1, /must be a whole number.*got -1; using one worker/],
  [2.5, 1, /must be a whole number.*got 2\.5; using one worker/],
  ["many", 1, /must be a whole number.*got "many"; using one worker/],
  [{}, 1, /must be a whole number.*got \{\}; using one worker/],
  [1000, 8, /concurrency 1000 is more than this machine's 8 core\(s\); using 8/],
] as const)
  test(`concurrency ${JSON.stringify(concurrency)} leads to ${count} workers and logs why`, () => {
    const result = workerCount(concurrency, machine, undefined);
    assert.equal(result.count, count);
    assert.match(result.warning ?? "", words);
  });

test("file descriptors limit the number of workers", () => {
  const result = workerCount(0, { cores: 8, maxDescriptors: 4096 }, undefined);
  assert.equal(result.count, 4);
  assert.match(result.warning ?? "", /may open 4096; using 4\. Raise the limit of open files/);
  assert.equal(workerCount(4, { cores: 8, maxDescriptors: 100 }, undefined).count, 1);
});

test("one worker for each core is started even under a lower CPU limit, with a warning", () => {
  const result = workerCount(0, machine, 2);
  assert.equal(result.count, 8);
  assert.match(result.warning ?? "", /here 8, but the container's CPU limit is 2.*set concurrency to 2/);
});

test("concurrency comes from --concurrency, else from the pod's annotation, else from PROXY_CONFIG; 0 differs from unset", () => {
  const concurrencyOf = (proxyConfig: string, args: readonly string[] = [], annotationsFile = ""): unknown =>
    readSettings({
      env: { PROXY_CONFIG: proxyConfig },
      args: ["proxy", "router", ...args],
      version: "1.2.3",
      labelsFile: undefined,
      annotationsFile,
    }).concurrency;
  const annotation = 'other="x"\nproxy.istio.io/config="{ \\"concurrency\\": 4 }"\n';
  assert.equal(concurrencyOf(""), undefined);
  assert.equal(concurrencyOf('{"concurrency":0}'), 0);
  assert.equal(concurrencyOf('{"concurrency":3}'), 3);
  assert.equal(concurrencyOf("concurrency: many\n"), "many");
  assert.equal(concurrencyOf('{"concurrency":3}', ["--concurrency", "2"]), "2");
  assert.equal(concurrencyOf('{"concurrency":3}', ["--concurrency=0"]), 3, "the flag's 0 says nothing, as upstream");
  assert.equal(concurrencyOf("", [], annotation), 4);
  assert.equal(concurrencyOf("", [], 'proxy.istio.io/config="concurrency: 5\\n"\n'), 5);
  assert.equal(concurrencyOf('{"concurrency":3}', [], annotation), 4);
  const injected = `${annotation}sidecar.istio.io/status="{}"\n`;
  assert.equal(concurrencyOf('{"concurrency":3}', [], injected), 3, "the injector has merged the annotation already");
});
