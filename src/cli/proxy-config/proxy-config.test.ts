import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { describeError } from "../../base/index.ts";
import type { Deployment, Pod } from "../../api/kubernetes/index.ts";
import { createProgram } from "../program.ts";
import { FakeContext, type FakeCluster } from "../testing/fake-context.ts";
import { jsonNames } from "../../proxy-dump/index.ts";
import { waypointListenerTable } from "./waypoint-listeners.ts";

const recorded = (name: string): string => readFileSync(join(import.meta.dirname, "../testing/dumps", name), "utf8");
const pod = (name: string, container: string, labels: Record<string, string> = {}): Pod => ({
  metadata: { name, namespace: "test-ns", labels },
  spec: {
    containers: [
      { name: "details", image: "details" },
      { name: container, image: "proxyv2" },
    ],
  },
  status: { phase: "Running" },
});
const deployment: Deployment = {
  metadata: { name: "details-v1", namespace: "test-ns" },
  spec: { selector: { matchLabels: { app: "details" } }, template: {} },
};
const cluster: FakeCluster = {
  objects: {
    Pod: [
      pod("details-v1-x", "istio-proxy", { app: "details" }),
      pod("bare", "sleep"),
      pod("ztunnel-a", "istio-proxy", { app: "ztunnel" }),
    ],
    Deployment: [deployment],
  },
  pods: {
    "GET details-v1-x.test-ns:15000/clusters?format=json": recorded("sidecar-clusters.json"),
    "GET details-v1-x.test-ns:15000/config_dump?mask=dynamic_route_configs,static_route_configs":
      recorded("sidecar-config-dump.json"),
    "POST details-v1-x.test-ns:15000/logging": "active loggers:\n  http: warning\n",
    "POST details-v1-x.test-ns:15000/logging?http=debug": "active loggers:\n  http: debug\n",
  },
  files: { "dump.json": recorded("sidecar-config-dump.json") },
};

async function serin(line: string): Promise<string> {
  const context = new FakeContext(cluster);
  await createProgram(context).parseAsync(line.split(" "));
  return context.output;
}

async function refused(line: string): Promise<string> {
  return await serin(line).then(
    () => assert.fail("it was not refused"),
    (error: unknown) => describeError(error),
  );
}

test("endpoints of a pod are shown, whatever the form of its name, with filters and flags in any place", async () => {
  const hosts = async (line: string): Promise<unknown> =>
    (await serin(line))
      .split("\n")
      .filter((text) => text.includes("hostname"))
      .map((text) => text.trim());
  const lines = [
    "proxy-config endpoints details-v1-x.test-ns --cluster xds-grpc -ojson",
    "-n test-ns pc ep deployment/details-v1 --cluster=xds-grpc -o=json",
    "pc -n test-ns endpoint deploy/details-v1.test-ns --cluster XDS-GRPC --output json",
  ];
  for (const line of lines) assert.deepEqual(await hosts(line), ['"hostname": "istiod-canary.istio-system.svc"'], line);
  assert.equal(
    await serin("pc ep details-v1-x.test-ns --port 9080 --address 10.244.1.5"),
    "ENDPOINT            STATUS      OUTLIER CHECK     CLUSTER\n10.244.1.5:9080     HEALTHY     OK                outbound|9080||reviews.test-ns.svc.cluster.local\n",
  );
});

test("clusters, listeners, routes and secrets are shown in istioctl's columns", async () => {
  assert.equal(
    await serin("pc clusters -f dump.json --fqdn reviews"),
    "SERVICE FQDN                          PORT     SUBSET     DIRECTION     TYPE     DESTINATION RULE\nreviews.test-ns.svc.cluster.local     9080     -          outbound      EDS\n",
  );
  assert.equal(
    await serin("pc listeners -f dump.json --port 9080"),
    "ADDRESSES PORT MATCH                                DESTINATION\n0.0.0.0   9080 Trans: raw_buffer; App: http/1.1,h2c Route: 9080\n0.0.0.0   9080 ALL                                  PassthroughCluster\n",
  );
  assert.equal(
    await serin("pc l -f dump.json --verbose=false --type http+tcp"),
    "ADDRESSES PORT TYPE\n0.0.0.0   9080 HTTP+TCP\n",
  );
  assert.equal(
    await serin("pc routes details-v1-x.test-ns"),
    "NAME     VHOST NAME                                 DOMAINS                                                     MATCH     VIRTUAL SERVICE\n" +
      "9080     reviews.test-ns.svc.cluster.local:9080     reviews.test-ns.svc.cluster.local., reviews + 2 more...     /*\n",
  );
  assert.match(
    await serin("pc secret -f dump.json"),
    /^RESOURCE NAME +TYPE +STATUS +VALID CERT +SERIAL NUMBER +NOT AFTER +NOT BEFORE\ndefault +Cert Chain +ACTIVE +false +[0-9a-f]{32} +\S+Z +\S+Z\nROOTCA +CA +ACTIVE /,
  );
  assert.match(
    await serin("pc all -f dump.json --with-headers"),
    /^------ BOOTSTRAP INFO ------\n\nIstio Version: [^]*------ CLUSTER INFO ------\n\nNAME +SERVICE FQDN[^]*cluster\/xds-grpc[^]*endpoint\/10\.244/,
  );
});

test("JSON dumps have JSON's field names, and free-form fields stay unchanged", async () => {
  const [found] = JSON.parse(await serin("pc clusters -f dump.json --fqdn reviews -o json")) as {
    readonly edsClusterConfig: unknown;
    readonly connectTimeout: string;
  }[];
  assert.equal(found?.connectTimeout, "10s");
  const named = jsonNames({
    node_id: { metadata: { MESH_ID: 1, free_form: 2 } },
    metadata: { filter_metadata: { a_b: { c_d: 1 } } },
    typed_per_filter_config: { "envoy.filters.http.ext_authz": { check_settings: 1 } },
  });
  assert.deepEqual(named, {
    nodeId: { metadata: { MESH_ID: 1, free_form: 2 } },
    metadata: { filterMetadata: { a_b: { c_d: 1 } } },
    typedPerFilterConfig: { "envoy.filters.http.ext_authz": { checkSettings: 1 } },
  });
});

test("a waypoint's chains are shown with their paths through the matcher", () => {
  const chain = (name: string): object => ({
    name,
    filters: [{ name: "envoy.filters.network.tcp_proxy", typedConfig: { cluster: name } }],
  });
  const onPort = {
    matcherTree: { input: { name: "port" }, exactMatchMap: { map: { 9080: { action: { name: "reviews" } } } } },
  };
  const ranges = {
    typedConfig: {
      rangeMatchers: [{ ranges: [{ addressPrefix: "10.96.0.7", prefixLen: 32 }], onMatch: { matcher: onPort } }],
    },
  };
  const listener = {
    name: "main_internal",
    filterChains: [chain("reviews"), chain("direct")],
    filterChainMatcher: {
      matcherTree: { input: { name: "ip" }, customMatch: ranges },
      onNoMatch: { action: { name: "direct" } },
    },
  };
  assert.equal(
    waypointListenerTable([listener], { columns: undefined }),
    "LISTENER              CHAIN   MATCH                     DESTINATION\nenvoy://main_internal reviews ip=10.96.0.7 -> port=9080 Cluster: reviews\nenvoy://main_internal direct  UNMATCHED                 Cluster: direct\n",
  );
});

test("loggers are set one by one, and the error for an unknown one names it", async () => {
  assert.equal(
    await serin("pc log deploy/details-v1 -n test-ns --level http:debug"),
    "details-v1-x.test-ns:\nactive loggers:\n  http: debug\n",
  );
  assert.equal(
    await refused("pc log details-v1-x.test-ns --level htp:debug"),
    'the proxy of details-v1-x.test-ns has no logger "htp"; did you mean http?\n  hint: it has http',
  );
  assert.match(
    await refused("pc log details-v1-x.test-ns --level http:debg"),
    /^--level: "http:debg" is not a known level; did you mean debug\?/,
  );
});

test("an invalid target is refused with a suggestion or the reason", async () => {
  assert.equal(
    await refused("pc c details-v1-y.test-ns"),
    'there is no pod "details-v1-y" in namespace test-ns\n  hint: did you mean details-v1-x?',
  );
  assert.match(
    await refused("pc c bare.test-ns"),
    /^pod bare\.test-ns has no proxy: none of its containers is named istio-proxy\n {2}hint: find out why the pod was not injected: serin experimental check-inject bare -n test-ns$/,
  );
  assert.match(
    await refused("pc c ztunnel-a.test-ns"),
    /is a ztunnel, which has no such configuration\n {2}hint: serin ztunnel-config all ztunnel-a\.test-ns$/,
  );
  assert.match(
    await refused("pc c deploymnt/details-v1.test-ns"),
    /^"deploymnt" is not a type of resource that has pods; did you mean deployment\?/,
  );
  assert.match(await refused("pc c"), /^neither a pod nor --file is given\n/);
  assert.match(await refused("pc c -f dump.json -o xml"), /^--output xml is unknown: expected json, yaml or short$/);
});
