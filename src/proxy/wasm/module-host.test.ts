import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { createLogger, systemClock } from "../../base/index.ts";
import { MetricsRegistry } from "../../telemetry/index.ts";
import type { WasmSettings } from "../filters/lazy-wasm-filter.ts";
import { forwardTo, Harness, route, tableOf } from "../testing/harness.ts";
import { FilterStatistics } from "../terms/filter-statistics.ts";
import { ModuleHost } from "./module-host.ts";

const modulePath = join(import.meta.dirname, "../../../test/wasm/test-module.wasm");

function hostOfModules(): { readonly host: ModuleHost; readonly failures: string[] } {
  const failures: string[] = [];
  const host = new ModuleHost({
    clock: systemClock,
    log: createLogger({ scope: "test", level: "error", write: (line) => void failures.push(line) }),
    registry: new MetricsRegistry(),
    statistics: new FilterStatistics(),
    callCluster: () => Promise.reject(new Error("no clusters")),
    hasCluster: () => false,
    node: { id: "node" },
    readFile: async (path) => await readFile(path),
    fetch: () => Promise.reject(new Error("nothing is fetched")),
    maxMachines: 8,
  });
  return { host, failures };
}

const nameOf = (namespace: string, plugin: string): string =>
  `extensions.istio.io/trafficextension/${namespace}.${plugin}`;

function settingsOf(key: string, environment: WasmSettings["environment"] = []): WasmSettings {
  return {
    plugin: { name: key, rootId: "", configuration: new Uint8Array() },
    vmId: "",
    vmConfiguration: new Uint8Array(),
    environment,
    code: { kind: "file", path: modulePath },
    failure: "closed",
    key,
  };
}

test("a plugin that fails its module leaves the equal module of another namespace's plugin running", async () => {
  const { host } = hostOfModules();
  const statusOf = async (filter: ReturnType<ModuleHost["filter"]>, action?: string): Promise<number> => {
    await using harness = await Harness.start({ filters: [filter], filtersIdle: false });
    const app = await harness.backend((_request, response) => response.end("hello"));
    harness.cluster("app", [app.port]);
    harness.table = tableOf(route(forwardTo("app")));
    return (await harness.get("/", action === undefined ? {} : { headers: { "x-do": action } })).status;
  };
  const own = host.filter(nameOf("shop", "auth"), settingsOf("shop.auth"));
  const sibling = host.filter(nameOf("shop", "more"), settingsOf("shop.more"));
  const foreign = host.filter(nameOf("evil", "auth"), settingsOf("evil.auth"));
  assert.deepEqual([await statusOf(own), await statusOf(sibling), await statusOf(foreign)], [200, 200, 200]);
  assert.equal(await statusOf(foreign, "trap"), 503);
  assert.deepEqual([await statusOf(own), await statusOf(foreign)], [200, 503]);
  assert.equal(await statusOf(sibling, "trap"), 503);
  assert.equal(await statusOf(own), 503, "plugins of one namespace share their module, as in Envoy");
  host.end();
});

test("the plugins of one namespace cannot take all modules that a proxy runs", async () => {
  const { host, failures } = hostOfModules();
  // Keep the filters, because a plugin ends when its last filter is collected as garbage.
  const kept: unknown[] = [];
  const start = async (namespace: string, count: number): Promise<void> => {
    for (let index = 0; index < count; index += 1) {
      const key = `${namespace}.p${index}`;
      const filter = host.filter(nameOf(namespace, `p${index}`), settingsOf(key, [["N", key]]));
      kept.push(filter);
      await filter.starting?.();
    }
  };
  await start("evil", 5);
  assert.equal(failures.length, 1);
  assert.match(failures[0] ?? "", /the plugins of namespace evil run as many modules as they may/);
  await start("shop", 2);
  assert.deepEqual([failures.length, kept.length], [1, 7]);
  host.end();
});
