import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { test } from "node:test";
import { silentLogger, systemClock, type Clock } from "../../base/index.ts";
import { until } from "../../base/testing/index.ts";
import { MetricsRegistry, renderPrometheus } from "../../telemetry/index.ts";
import { FilterStatistics } from "../terms/filter-statistics.ts";
import type { ModuleLocation, WasmSettings } from "../filters/lazy-wasm-filter.ts";
import type { HttpFilter } from "../filters/http-filter.ts";
import { forwardTo, Harness, route, tableOf } from "../testing/harness.ts";
import { clusterCaller } from "../upstream/cluster-call.ts";
import { reloadAfterMs } from "./limits.ts";
import { ModuleHost } from "./module-host.ts";

const modulePath = join(import.meta.dirname, "../../../test/wasm/test-module.wasm");
const moduleBytes = await readFile(modulePath);

interface Served extends AsyncDisposable {
  readonly harness: Harness;
  readonly statistics: FilterStatistics;
  readonly registry: MetricsRegistry;
  readonly received: { headers: Record<string, unknown>; body: string };
}

let keys = 0;

function settingsOf(more: Partial<WasmSettings> = {}): WasmSettings {
  keys += 1;
  return {
    plugin: { name: "test", rootId: "", configuration: new Uint8Array() },
    vmId: "",
    vmConfiguration: new Uint8Array(),
    environment: [],
    code: { kind: "file", path: modulePath },
    failure: "closed",
    key: String(keys),
    ...more,
  };
}

async function serving(
  more: Partial<WasmSettings> = {},
  fetched: typeof globalThis.fetch = () => Promise.reject(new Error("nothing is fetched")),
  clock: Clock = systemClock,
): Promise<Served> {
  const statistics = new FilterStatistics();
  const registry = new MetricsRegistry({ clock: systemClock });
  const clusters: { current?: Harness } = {};
  const cluster = (name: string): ReturnType<Harness["clusters"]["get"]> => clusters.current?.clusters.get(name);
  const host = new ModuleHost({
    clock,
    log: silentLogger,
    registry,
    statistics,
    callCluster: clusterCaller(cluster),
    hasCluster: (name) => cluster(name) !== undefined,
    node: { id: "node" },
    readFile: async (path) => await readFile(path),
    fetch: fetched,
    deadlineMs: 1_000,
  });
  const filter: HttpFilter = host.filter("wasm", settingsOf(more));
  const harness = await Harness.start({ filters: [filter], filtersIdle: false });
  clusters.current = harness;
  const received = { headers: {} as Record<string, unknown>, body: "" };
  const app = await harness.backend((request, response) => {
    let body = "";
    request.on("data", (chunk: Buffer) => (body += chunk.toString()));
    request.on("end", () => {
      received.headers = request.headers;
      received.body = body;
      response.end("hello");
    });
  });
  const callee = await harness.backend((request, response) => response.end(`asked ${request.url}`));
  harness.cluster("app", [app.port]);
  harness.cluster("callee", [callee.port]);
  harness.table = tableOf(route(forwardTo("app")));
  return {
    harness,
    statistics,
    registry,
    received,
    async [Symbol.asyncDispose]() {
      await harness[Symbol.asyncDispose]();
      host.end();
    },
  };
}

const withAction = (action: string): { readonly headers: Record<string, string> } => ({ headers: { "x-do": action } });

test("a module changes headers and bodies in both directions, reads properties and shares its timer's count", async () => {
  await using served = await serving();
  const { harness, received } = served;
  const answer = await harness.get("/there?q=1", { method: "POST", body: "with us" });
  assert.deepEqual([answer.status, answer.body, answer.headers["x-wasm"]], [200, "hello!", "response"]);
  assert.deepEqual(
    [received.body, received.headers["x-path"], received.headers["content-length"]],
    [">with us", "/there?q=1", undefined],
  );
  await until(async () => Number((await harness.get("/")).headers["x-ticks"] ?? 0) > 1);
  assert.equal((await harness.get("/")).body, "hello!");
});

test("a module answers itself, and calls a cluster while the request waits", async () => {
  await using served = await serving();
  const { harness, received } = served;
  const denied = await harness.get("/", withAction("deny"));
  assert.deepEqual([denied.status, denied.body, denied.headers["x-wasm"]], [403, "denied!", "response"]);
  assert.equal((await harness.get("/", withAction("call"))).status, 200);
  assert.equal(received.headers["x-called"], "asked /asked");
});

test("a module's counters are among the proxy's metrics", async () => {
  await using served = await serving();
  await served.harness.get("/");
  await served.harness.get("/");
  assert.match(renderPrometheus(served.registry), /^test_requests 2$/m);
});

for (const action of ["loop", "trap", "memory"])
  test(`a module that fails by ${action} ends with its thread: requests are refused, and the proxy continues`, async () => {
    await using served = await serving();
    const { harness, statistics } = served;
    assert.equal((await harness.get("/")).status, 200);
    assert.equal((await harness.get("/", withAction(action))).status, 503);
    assert.equal((await harness.get("/")).status, 503);
    assert.equal(harness.records.at(-1)?.details, "wasm_fail_stream");
    const [deadlines, traps] = [statistics.counter("wasm.deadlines").value, statistics.counter("wasm.traps").value];
    // A slow machine may reach the deadline before the module has filled its memory.
    assert.deepEqual(
      action === "memory" ? deadlines + traps : [deadlines, traps],
      action === "memory" ? 1 : action === "loop" ? [1, 0] : [0, 1],
    );
  });

test("with FAIL_OPEN requests pass without a module that failed", async () => {
  await using served = await serving({ failure: "open" });
  const { harness, received } = served;
  const looped = await harness.get("/", { ...withAction("loop"), method: "POST", body: "whole" });
  assert.deepEqual([looped.status, looped.body, received.body], [200, "hello", "whole"]);
  const next = await harness.get("/");
  assert.deepEqual([next.status, next.headers["x-wasm"]], [200, undefined]);
});

test("with FAIL_RELOAD a trapped module restarts after a pause", async () => {
  let nowMs = 0;
  const clock: Clock = { ...systemClock, steadyMs: () => nowMs };
  await using served = await serving({ failure: "reload" }, undefined, clock);
  const { harness } = served;
  assert.equal((await harness.get("/", withAction("trap"))).status, 503);
  nowMs = reloadAfterMs - 1;
  assert.equal((await harness.get("/")).status, 503, "not at once");
  nowMs = reloadAfterMs;
  assert.deepEqual([(await harness.get("/")).status, served.statistics.counter("wasm.created").value], [200, 2]);
});

test("requests to an unusable module follow its failure policy: bad bytes, a wrong checksum, or a configuration that it refuses", async () => {
  const refuses = { name: "test", rootId: "", configuration: Buffer.from("refuse") };
  const bad: ModuleLocation = { kind: "inline", bytes: Buffer.from("no module") };
  const remote = (sha256: string): ModuleLocation => ({
    kind: "remote",
    url: "http://modules.test/a.wasm",
    sha256,
    timeoutMs: 1000,
    version: "1",
    pull: "default",
    secret: "",
  });
  const fetched = (): Promise<Response> => Promise.resolve(new Response(moduleBytes));
  const tries: readonly (readonly [Partial<WasmSettings>, number])[] = [
    [{ plugin: refuses }, 503],
    [{ code: bad }, 503],
    [{ code: { kind: "file", path: "/nowhere.wasm" } }, 403],
    [{ code: remote("0".repeat(64)) }, 403],
    [{ code: { ...remote(""), url: "gopher://modules.test/a" } as ModuleLocation }, 403],
  ];
  for (const [more, status] of tries) {
    await using closed = await serving(more, fetched);
    assert.equal((await closed.harness.get("/")).status, status, "403 without code, as upstream's agent");
    await using open = await serving({ ...more, failure: "open" }, fetched);
    assert.equal((await open.harness.get("/")).body, "hello");
  }
});

test("a module is fetched by HTTP after the server's first failures", async () => {
  let fetchCount = 0;
  const fetched = (): Promise<Response> => {
    fetchCount += 1;
    return Promise.resolve(fetchCount === 1 ? new Response("", { status: 503 }) : new Response(moduleBytes));
  };
  const code: ModuleLocation = {
    kind: "remote",
    url: "http://modules.test/a.wasm",
    sha256: "",
    timeoutMs: 5000,
    version: "1",
    pull: "default",
    secret: "",
  };
  await using served = await serving({ code }, fetched);
  assert.equal((await served.harness.get("/")).headers["x-wasm"], "response");
  assert.equal(fetchCount, 2);
});

test("results of fetches are counted under the names of upstream's agent", async () => {
  const code = (url: string, sha256 = ""): ModuleLocation => ({
    kind: "remote",
    url,
    sha256,
    timeoutMs: 1000,
    version: "1",
    pull: "default",
    secret: "",
  });
  const fetched = (input: URL | string | Request): Promise<Response> =>
    Promise.resolve(
      new Request(input).url.includes("none")
        ? new Response("", { status: 404 })
        : new Response(new Uint8Array(moduleBytes)),
    );
  const http = "http://modules.test/a.wasm";
  const expected: readonly (readonly [ModuleLocation, string])[] = [
    [code(http), "success"],
    [code(http, "0".repeat(64)), "checksum_mismatched"],
    [code("http://modules.test/none"), "download_failure"],
    [code("oci://modules.test/none:1"), "manifest_failure"],
  ];
  for (const [location, result] of expected) {
    await using served = await serving({ code: location }, fetched);
    await served.harness.get("/");
    const line = new RegExp(`^istio_agent_wasm_remote_fetch_count\\{result="${result}"\\} 1$`, "m");
    assert.match(renderPrometheus(served.registry), line);
  }
  await using served = await serving({ code: code(http) }, () => Promise.resolve(new Response("no module")));
  await served.harness.get("/");
  assert.match(renderPrometheus(served.registry), /remote_fetch_count\{result="fetch_failure"\} 1/);
});

test("a client that leaves while a module runs leaves nothing behind", async () => {
  await using served = await serving();
  const { harness } = served;
  await harness.get("/");
  const client = harness.client();
  client.send("GET / HTTP/1.1\r\nhost: a\r\nx-do: call\r\n\r\n");
  await sleep(2);
  client.socket.destroy();
  await client.closed;
  assert.equal((await harness.get("/")).status, 200);
});
