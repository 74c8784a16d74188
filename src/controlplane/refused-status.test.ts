import assert from "node:assert/strict";
import { after, test } from "node:test";
import { authorizationPolicyKind, virtualServiceKind } from "../api/istio/index.ts";
import { silentLogger, systemClock } from "../base/index.ts";
import { until } from "../base/testing/index.ts";
import { CollectionGraph } from "../kube/index.ts";
import { MetricsRegistry, renderPrometheus } from "../telemetry/index.ts";
import { MeshIngest } from "./ingest/index.ts";
import { createMeshInputs } from "./model/index.ts";
import { runRefusedStatusWriter } from "./refused-status.ts";
import { FakeKubeClient } from "./testing/fake-kube-client.ts";
import { config } from "./testing/model-fixture.ts";

const client = new FakeKubeClient();
const metrics = new MetricsRegistry();
const inputs = createMeshInputs(new CollectionGraph());
const stopped = new AbortController();
const ingest = new MeshIngest({ client, inputs, revision: "blue", metrics, clock: systemClock, log: silentLogger });
const good = { hosts: ["a"], http: [{ route: [{ destination: { host: "a" } }] }] };
const foreign = { type: "other", status: "True", reason: "x", message: "", lastTransitionTime: "2026-01-01T00:00:00Z" };
client.put(virtualServiceKind, {
  ...config("VirtualService", "shop/stale", good),
  status: { conditions: [foreign, { ...foreign, type: "serin.dev/valid-blue", status: "False" }] },
} as never);
client.put(virtualServiceKind, config("VirtualService", "shop/good", good));
client.put(virtualServiceKind, config("VirtualService", "shop/bad", good));
const running = [ingest.run(stopped.signal)];
await ingest.synced;
running.push(
  runRefusedStatusWriter(
    {
      client,
      namespace: "istio-system",
      revision: "blue",
      podName: "istiod-1",
      refused: ingest.refused,
      objectsOf: (kind) => ingest.informerOf(kind),
      clock: systemClock,
      log: silentLogger,
    },
    stopped.signal,
  ),
);
after(async () => {
  stopped.abort();
  await Promise.all(running);
});

interface Condition {
  readonly type: string;
  readonly message: string;
}

const conditions = async (name: string): Promise<readonly Condition[]> =>
  ((await client.get(virtualServiceKind, name, "shop")) as { status?: { conditions?: Condition[] } } | undefined)
    ?.status?.conditions ?? [];

test("a refused object is reported in its status and a metric, and its last good version applies until it is valid again", async () => {
  const version = (await client.get(virtualServiceKind, "good", "shop"))?.metadata.resourceVersion;
  client.put(virtualServiceKind, config("VirtualService", "shop/bad", { ...good, htp: [] }));
  await until(async () => (await conditions("bad")).length === 1);
  const [condition] = await conditions("bad");
  assert.equal(condition?.type, "serin.dev/valid-blue");
  assert.match(
    condition.message,
    /^spec\.htp: is not a known field; did you mean http\?; the last version that was valid stays in force/,
  );
  assert.deepEqual(inputs.virtualServices.get("shop/bad")?.spec.hosts, ["a"]);
  assert.match(renderPrometheus(metrics), /pilot_k8s_object_errors\{name="VirtualService"\} 1/);
  const bad = await client.get(virtualServiceKind, "bad", "shop");
  client.put(virtualServiceKind, { ...bad, ...config("VirtualService", "shop/bad", good) });
  await until(async () => (await conditions("bad")).length === 0);
  assert.match(renderPrometheus(metrics), /pilot_k8s_object_errors\{name="VirtualService"\} 0/);
  assert.equal(
    (await client.get(virtualServiceKind, "good", "shop"))?.metadata.resourceVersion,
    version,
    "a valid object is not written",
  );
});

test("the status of an object names a header value that proxies send as text", async () => {
  const http = [{ ...good.http[0], headers: { request: { set: { a: "%SPAN_ID%" } } } }];
  client.put(virtualServiceKind, config("VirtualService", "shop/corrected", { ...good, http }));
  await until(async () => (await conditions("corrected")).length === 1);
  const [condition] = await conditions("corrected");
  assert.match(
    condition?.message ?? "",
    /^spec\.http\[0\]\.headers\.request\.set\.a: has %SPAN_ID%.* write a percent sign as %%; until then, proxies send the value as text$/,
  );
  assert.deepEqual(inputs.virtualServices.get("shop/corrected")?.spec.http[0]?.headers.request.set, {
    a: "%%SPAN_ID%%",
  });
  const stored = await client.get(virtualServiceKind, "corrected", "shop");
  client.put(virtualServiceKind, { ...stored, ...config("VirtualService", "shop/corrected", good) });
  await until(async () => (await conditions("corrected")).length === 0);
});

test("the status of a refused policy says what it does without a valid version", async () => {
  const messageOf = async (action: string): Promise<string> => {
    const name = action.toLowerCase();
    client.put(
      authorizationPolicyKind,
      config("AuthorizationPolicy", `shop/${name}`, { action, rules: [{ form: [] }] }),
    );
    const found = await until(async () => {
      const object = await client.get(authorizationPolicyKind, name, "shop");
      return (object as { status?: { conditions?: Condition[] } } | undefined)?.status?.conditions?.[0];
    });
    return found.message;
  };
  assert.match(
    await messageOf("ALLOW"),
    /^spec\.rules\[0\]\.form: .*, and if there was none, the policy allows nothing$/,
  );
  assert.match(await messageOf("DENY"), /, the policy denies all that it selects$/);
  assert.match(await messageOf("AUDIT"), /stays in force, if there was one$/);
});

test("outdated conditions of a former leader are removed, and foreign conditions stay", async () => {
  await until(async () => (await conditions("stale")).length === 1);
  assert.deepEqual(await conditions("stale"), [foreign]);
});
