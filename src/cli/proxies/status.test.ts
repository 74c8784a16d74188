import assert from "node:assert/strict";
import { test } from "node:test";
import { userError } from "../../base/index.ts";
import { shortTypeOf, type ConnectedProxy } from "../../api/serin/index.ts";
import { typeUrls } from "../../wire/xds/index.ts";
import type { KubeClient } from "../../kube/index.ts";
import { createProgram } from "../program.ts";
import { FakeContext, type FakeCluster } from "../testing/fake-context.ts";

const prefix = "type.googleapis.com";
const proxy = (id: string, version: string, types: ConnectedProxy["types"]): ConnectedProxy => ({
  id,
  type: "router",
  namespace: id.slice(id.lastIndexOf(".") + 1),
  node: "kind-worker",
  version,
  revision: "default",
  connectedAt: "2026-06-01T00:00:00Z",
  types,
});
const acknowledged = { sent: "4", acked: "4", nacked: "", reason: null };

const pilotPath = (pod: string, port: number, path: string): string =>
  `/api/v1/namespaces/istio-system/pods/${pod}:${port}/proxy${path}`;
const pilot = (name: string, revision: string) => ({
  metadata: { name, namespace: "istio-system", labels: { app: "istiod", "istio.io/rev": revision } },
  status: { phase: "Running" },
});
const cluster: FakeCluster = {
  objects: { Pod: [pilot("istiod-1", "default"), pilot("istiod-canary-1", "canary")] },
  answers: {
    [pilotPath("istiod-1", 15_014, "/version")]: "1.18.0\n",
    [pilotPath("istiod-canary-1", 15_014, "/version")]: "1.18.1\n",
    [pilotPath("istiod-1", 8080, "/debug/serin/proxies")]: JSON.stringify([
      proxy("ztunnel-b.istio-system", "1.18.0", {
        [`${prefix}/istio.workload.Address`]: acknowledged,
        [`${prefix}/istio.security.Authorization`]: acknowledged,
      }),
      proxy("gateway-1.bookinfo", "1.18.0", {
        [`${prefix}/envoy.config.cluster.v3.Cluster`]: acknowledged,
        [`${prefix}/envoy.config.listener.v3.Listener`]: { ...acknowledged, sent: "5" },
        [`${prefix}/envoy.config.route.v3.RouteConfiguration`]: {
          sent: "5",
          acked: "4",
          nacked: "5",
          reason: "no such cluster",
        },
      }),
    ]),
    [pilotPath("istiod-canary-1", 8080, "/debug/serin/proxies")]: JSON.stringify([
      { ...proxy("gateway-2.bookinfo", "1.18.1", {}), clusterId: "east" },
    ]),
  },
};

async function run(
  line: string,
  fakeCluster: FakeCluster | undefined = cluster,
): Promise<{ output: string; errors: string }> {
  const context = new FakeContext(fakeCluster);
  await createProgram(context).parseAsync(line.split(" "), { from: "user" });
  return context;
}

test("proxy-status names each proxy's istiod, and marks pending and rejected types", async () => {
  assert.equal(
    (await run("proxy-status")).output,
    `NAME                       CLUSTER        ISTIOD              VERSION     SUBSCRIBED TYPES
gateway-1.bookinfo         Kubernetes     istiod-1            1.18.0      3 (CDS,LDS*,RDS!)
gateway-2.bookinfo         east           istiod-canary-1     1.18.1      0
ztunnel-b.istio-system     Kubernetes     istiod-1            1.18.0      2 (WADS,WDS)
`,
  );
});

test("proxy-status needs no rights over all namespaces, only in that of the control plane", async () => {
  const { output } = await run("proxy-status", {
    ...cluster,
    listRefusal: ({ plural }, namespace) =>
      namespace === undefined ? userError("forbidden", `list of ${plural} in all namespaces`) : undefined,
  });
  assert.match(output, /^gateway-1\.bookinfo +Kubernetes +istiod-1 /m);
});

test("on a narrow terminal, proxy-status fits its width", async () => {
  class Terminal extends FakeContext {
    override readonly columns = () => 72;
  }
  const context = new Terminal(cluster);
  await createProgram(context).parseAsync(["proxy-status"], { from: "user" });
  assert.ok(
    context.output.split("\n").every((line) => line.length <= 72),
    context.output,
  );
  assert.match(context.output, /^NAME +CLUSTER +ISTIOD +VERSION +SUBSCRIBED TYPES\n/);
});

test("proxy-status shows the state of each type in columns, and in the format of xDS's status service", async () => {
  assert.match(
    (await run("ps -v 1 -r default")).output,
    /^NAME +CLUSTER +CDS +LDS +EDS +RDS +ECDS +WADS +WDS +ISTIOD +VERSION\ngateway-1\.bookinfo +Kubernetes +SYNCED +STALE +IGNORED +ERROR +IGNORED/,
  );
  const { resources } = JSON.parse((await run("ps -n bookinfo -r default -o json")).output) as {
    readonly resources: readonly {
      readonly node: { readonly id: string };
      readonly genericXdsConfigs: readonly unknown[];
    }[];
  };
  assert.deepEqual(
    resources.map(({ node }) => node.id),
    ["gateway-1.bookinfo"],
  );
  assert.deepEqual(resources[0]?.genericXdsConfigs[2], {
    typeUrl: `${prefix}/envoy.config.route.v3.RouteConfiguration`,
    configStatus: "ERROR",
    errorState: { details: "no such cluster" },
  });
});

test("an unknown revision is refused with a suggestion", async () => {
  await assert.rejects(run("ps -r canry"), {
    code: "revision-unknown",
    message: 'no control plane of revision "canry" runs; did you mean "canary"?',
  });
});

test("a tag selects the control planes of its revision", async () => {
  const tag = { metadata: { name: "prod", labels: { "istio.io/tag": "prod", "istio.io/rev": "canary" } } };
  const tagged = { ...cluster, objects: { ...cluster.objects, MutatingWebhookConfiguration: [tag] } };
  const { output } = await run("proxy-status -r prod", tagged);
  assert.equal(output, (await run("proxy-status -r canary")).output);
});

test("proxy-status of one pod shows its missing and different resources", async () => {
  const part = (type: string, list: string, entries: readonly unknown[]) => ({
    "@type": `${prefix}/envoy.admin.v3.${type}`,
    [list]: entries,
  });
  const dump = (clusters: readonly Record<string, unknown>[]): string =>
    JSON.stringify({
      configs: [
        part(
          "ClustersConfigDump",
          "dynamic_active_clusters",
          clusters.map((one) => ({ cluster: one })),
        ),
      ],
    });
  const pod = {
    metadata: { name: "web-1", namespace: "shop" },
    spec: { containers: [{ name: "istio-proxy", image: "proxyv2" }] },
    status: { phase: "Running" },
  };
  const given: FakeCluster = {
    objects: { Pod: [...(cluster.objects?.["Pod"] ?? []), pod] },
    answers: {
      [pilotPath("istiod-canary-1", 8080, "/debug/config_dump?proxyID=web-1.shop")]: dump([
        { name: "a", type: "EDS" },
        { name: "b", connect_timeout: "1s" },
        { name: "same" },
      ]),
    },
    pods: {
      "GET web-1.shop:15000/config_dump": dump([
        { name: "same" },
        { connect_timeout: "2s", name: "b" },
        { name: "xds-grpc" },
      ]),
    },
  };
  assert.equal(
    (await run("ps web-1.shop", given)).output,
    `Clusters Don't Match
--- Istiod Clusters
+++ Proxy Clusters
- a (the proxy does not have it)
~ b
  {
-   "connectTimeout": "1s",
+   "connectTimeout": "2s",
    "name": "b"
  }
Listeners Match
Routes Match
`,
  );
  await assert.rejects(run("ps web-1.shop", { ...given, answers: {} }), { code: "proxy-not-connected" });
  const failing = pilotPath("istiod-1", 8080, "/debug/config_dump?proxyID=web-1.shop");
  const half = { ...given, answers: { ...given.answers, [failing]: "bad gateway" }, statuses: { [failing]: 502 } };
  assert.match((await run("ps web-1.shop", half)).output, /^Clusters Don't Match\n/);
  await assert.rejects(
    run("ps web-1.shop", { ...half, answers: { [failing]: "bad gateway" } }),
    /istiod-1 answered 502/,
  );
});

test("proxy-status and remote-clusters without an istiod print the remedy, and fail as with istioctl", async () => {
  for (const line of ["ps", "remote-clusters"]) {
    const context = new FakeContext({});
    await assert.rejects(createProgram(context).parseAsync([line]), { exitCode: 1 });
    assert.equal(
      context.errors,
      "No istiod runs in this cluster; install one: serin install --set profile=ambient\n",
      line,
    );
  }
});

test("an installed istiod without a running pod is not taken for a cluster without a mesh", async () => {
  const metadata = { name: "istiod", namespace: "istio-system", labels: { app: "istiod" } };
  const cluster = {
    objects: { Deployment: [{ kind: "Deployment", metadata, spec: { replicas: 0 } }] },
  } as unknown as FakeCluster;
  const reason = /no istiod runs in this cluster: no pod of Deployment istio-system\/istiod, which asks for 0/i;
  for (const line of ["ps", "remote-clusters"]) {
    const context = new FakeContext(cluster);
    await assert.rejects(createProgram(context).parseAsync([line]), { exitCode: 1 });
    assert.match(context.errors, reason, line);
  }
  for (const line of ["admin log", "x internal-debug syncz"])
    await assert.rejects(
      createProgram(new FakeContext(cluster)).parseAsync(line.split(" ")),
      { message: reason },
      line,
    );
  const version = new FakeContext(cluster);
  await createProgram(version).parseAsync(["version"]);
  assert.match(version.errors, reason);
});

test("an istiod that hangs or fails is reported, and does not hide what the others say", async () => {
  for (const hangs of [true, false]) {
    const answers = { ...cluster.answers, [pilotPath("istiod-1", 8080, "/debug/syncz")]: "[]" };
    const context = new FakeContext({ ...cluster, answers });
    const client = await context.connect();
    const raw: KubeClient["raw"] = async (method, path, options) => {
      if (!path.includes("/istiod-canary-1:")) return await client.raw(method, path, options);
      return hangs ? await new Promise<never>(() => undefined) : { status: 502, headers: {}, text: "bad gateway" };
    };
    Object.assign(context, { connect: async () => await Promise.resolve({ ...client, raw }) });
    await assert.rejects(createProgram(context).parseAsync(["ps", "--timeout", "20ms"]), { exitCode: 1 });
    assert.match(context.output, /^gateway-1\.bookinfo .*istiod-1/m);
    assert.match(
      context.errors,
      hangs ? /^! istiod-canary-1 did not answer within 0\.02 s/ : /^! istiod-canary-1 answered 502/,
    );
    context.output = "";
    await createProgram(context).parseAsync(["version", "--timeout", "20ms"]);
    assert.match(context.output, /^control plane version: 1\.18\.0\n/m);
    context.output = "";
    const debug = ["x", "internal-debug", "/debug/syncz", "--all", "--timeout", "20ms"];
    await assert.rejects(createProgram(context).parseAsync(debug), { exitCode: 1 });
    assert.equal(context.output, "[]\n");
  }
});

test("version counts data planes by version, and works without a cluster", async () => {
  assert.equal(
    (await run("version")).output,
    `client version: 1.18.1
control plane version: 1.18.0 (revision default)
control plane version: 1.18.1 (revision canary)
data plane version: 1.18.0 (2 proxies), 1.18.1 (1 proxies)
`,
  );
  const alone = new FakeContext();
  await createProgram(alone).parseAsync(["version"], { from: "user" });
  assert.equal(alone.output, "client version: 1.18.1\n");
  const refused = new FakeContext({ refusals: { Pod: userError("forbidden", "you may not list pods") } });
  await createProgram(refused).parseAsync(["version"], { from: "user" });
  assert.deepEqual(
    [refused.output, refused.errors],
    ["client version: 1.18.1\n", "! the versions in the cluster are unknown: you may not list pods\n"],
  );
});

test("proxy-status and version give up after --timeout", async () => {
  const silent = (): FakeContext =>
    Object.assign(new FakeContext(cluster), { connect: async () => await new Promise<never>(() => undefined) });
  for (const line of ["proxy-status --timeout 20ms", "version --remote --timeout=20ms"])
    await assert.rejects(
      createProgram(silent()).parseAsync(line.split(" ")),
      /no control plane answered within 0\.02 s/,
    );
  assert.match((await run("proxy-status --timeout=10s")).output, /^NAME /);
});

test("every type that proxies subscribe to has a short name", () => {
  const { healthInformation: _report, ...resources } = typeUrls;
  const names = Object.values(resources).map(shortTypeOf);
  assert.ok(
    names.every((name) => /^[A-Z]{3,4}$/.test(name)),
    names.join(", "),
  );
});

test("proxy-status says that an empty list may be that of an istiod that has just started", async () => {
  const alone: FakeCluster = {
    objects: { Pod: [pilot("istiod-1", "default")] },
    answers: { [pilotPath("istiod-1", 8080, "/debug/serin/proxies")]: "[]" },
  };
  for (const line of ["proxy-status", "proxy-status -o json"])
    assert.equal(
      (await run(line, alone)).errors,
      "No proxy is connected to istiod-1. Proxies connect within a few seconds after an istiod starts; run the command again.\n",
      line,
    );
  assert.match((await run("proxy-status -n shop")).errors, /^No proxy of namespace shop is connected to istiod-1, /);
  assert.equal((await run("proxy-status")).errors, "");
});
