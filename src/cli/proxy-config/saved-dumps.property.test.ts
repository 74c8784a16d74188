import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { SerinError } from "../../base/index.ts";
import { sampled, wrongFields } from "../../base/testing/index.ts";
import {
  certificateSection,
  ConfigDump,
  connectionSection,
  jsonNames,
  parseClusterStatuses,
  parseZtunnelDump,
  policySection,
  serviceSection,
  workloadSection,
} from "../../proxy-dump/index.ts";
import { renderTable } from "../terminal/table.ts";
import { assignmentTable, filterAssignments } from "./assignments.ts";
import { bootstrapSummary } from "./bootstrap.ts";
import { clusterTable, filterClusters } from "./clusters.ts";
import { endpointTable } from "./endpoints.ts";
import { filterListeners, listenerTable } from "./listeners.ts";
import { filterRoutes, routeTable } from "./routes.ts";
import { secretTable } from "./secrets.ts";
import { waypointListenerTable } from "./waypoint-listeners.ts";

const nowMs = Date.parse("2026-06-01T00:00:00Z");
const recorded = (name: string): unknown =>
  JSON.parse(readFileSync(join(import.meta.dirname, "../testing/dumps", name), "utf8"));

const matcher = {
  matcherTree: {
    input: { name: "port" },
    exactMatchMap: {
      map: { "80": { action: { name: "a" } }, "81": { matcher: { onNoMatch: { action: { name: "b" } } } } },
    },
    customMatch: {
      typedConfig: {
        rangeMatchers: [{ ranges: [{ addressPrefix: "10.0.0.1", prefixLen: 32 }], onMatch: { action: { name: "a" } } }],
      },
    },
  },
  onNoMatch: { action: { name: "b" } },
};
const type = (name: string): string => `type.googleapis.com/envoy.admin.v3.${name}`;
const others = {
  configs: [
    {
      "@type": type("ListenersConfigDump"),
      dynamicListeners: [
        {
          activeState: {
            listener: { name: "l", filterChains: [{ name: "a" }, { name: "b" }], filterChainMatcher: matcher },
          },
        },
      ],
    },
    {
      "@type": type("SecretsConfigDump"),
      dynamicActiveSecrets: [
        { name: "default", secret: { tlsCertificate: { certificateChain: { inlineBytes: "YQ==" } } } },
        {
          name: "ROOTCA",
          versionInfo: "uninitialized",
          secret: {
            validationContext: {
              trustedCa: { inlineBytes: "YQ==" },
              customValidatorConfig: {
                typedConfig: { trustDomains: [{ name: "a", trustBundle: { inlineBytes: "YQ==" } }] },
              },
            },
          },
        },
      ],
    },
  ],
};
const connection = { src: "10.0.0.1:1", originalDst: "10.0.0.2:2", actualDst: "10.0.0.2:3", protocol: "HBONE" };
const certificate = { serialNumber: "17", validFrom: "2026-05-31T23:00:00Z", expirationTime: "2026-06-01T23:00:00Z" };
const ztunnel = {
  workloads: [
    {
      name: "web",
      namespace: "shop",
      workloadIps: ["10.0.0.1"],
      node: "n",
      protocol: "HBONE",
      waypoint: { destination: { namespace: "shop", hostname: "waypoint.shop" } },
      uid: "u",
      status: "Healthy",
    },
  ],
  services: {
    a: {
      name: "web",
      namespace: "shop",
      hostname: "web.shop",
      vips: ["/10.0.0.2"],
      waypoint: { destination: "/10.0.0.3" },
      endpoints: { u: { status: "Healthy", workloadUid: "u" } },
    },
  },
  policies: [{ name: "p", namespace: "shop", action: "Allow", scope: "Namespace" }],
  certificates: [
    { identity: "spiffe://a/ns/shop/sa/web", state: "Available", certChain: [certificate], rootCerts: [certificate] },
  ],
  workloadState: {
    u: {
      state: "Up",
      info: { name: "web", namespace: "shop" },
      connections: { inbound: [connection], outbound: [connection] },
    },
  },
};

const layout = { columns: 80 };

function showProxy(raw: unknown): void {
  const dump = new ConfigDump(jsonNames(raw), "the dump");
  bootstrapSummary(dump);
  clusterTable(filterClusters(dump.clusters(), { fqdn: "a" }), layout);
  clusterTable(filterClusters(dump.clusters(), {}), layout);
  for (const verbose of [true, false]) {
    listenerTable(filterListeners(dump.listeners(), { type: "http" }), { verbose, ...layout });
    listenerTable(filterListeners(dump.listeners(), {}), { verbose, named: true, ...layout });
    routeTable(filterRoutes(dump.routes(), {}), { verbose, ...layout });
  }
  waypointListenerTable(dump.listeners(), layout);
  assignmentTable(filterAssignments(dump.endpoints(), { address: "10.0.0.1" }), layout);
  assignmentTable(filterAssignments(dump.endpoints(), {}), layout);
  secretTable(dump, nowMs, layout);
}

function showZtunnel(raw: unknown): void {
  const dump = parseZtunnelDump(raw, "the dump");
  for (const section of [workloadSection, serviceSection, policySection, certificateSection, connectionSection])
    for (const filter of [{ nowMs }, { nowMs, namespace: "shop", address: "10.0.0.1", raw: true }]) {
      const { header, rows } = section(dump, filter);
      renderTable(header, rows);
    }
}

const shown: readonly (readonly [title: string, dump: unknown, show: (raw: unknown) => void])[] = [
  ["a sidecar", recorded("sidecar-config-dump.json"), showProxy],
  ["a waypoint", others, showProxy],
  [
    "the clusters of a sidecar",
    recorded("sidecar-clusters.json"),
    (raw) => {
      endpointTable(
        parseClusterStatuses(jsonNames(raw), "the clusters"),
        { status: "healthy", address: "10.0.0.1" },
        layout,
      );
      endpointTable(parseClusterStatuses(jsonNames(raw), "the clusters"), {}, layout);
    },
  ],
  ["a ztunnel", ztunnel, showZtunnel],
];

for (const [title, dump, show] of shown)
  test(`a saved dump of ${title} with a field of a wrong type is shown, or refused as no dump`, () => {
    show(dump);
    for (const change of sampled([...wrongFields(dump)], 1500, 1))
      try {
        show(change.object);
      } catch (error) {
        if (error instanceof SerinError && error.code === "dump-invalid") continue;
        assert.fail(`${change.title}: ${error instanceof Error ? (error.stack ?? "") : String(error)}`);
      }
  });

test("a file that is no dump is refused by what it lacks", () => {
  for (const raw of [null, 3, [], {}, { configs: [] }])
    assert.throws(
      () => parseZtunnelDump(raw, "a.json"),
      /^SerinError: a\.json is not a dump of a ztunnel's configuration/,
    );
  for (const raw of [null, 3, [], { configs: [] }])
    assert.throws(
      () => parseClusterStatuses(raw, "a.json"),
      /^SerinError: a\.json is not a list of a proxy's clusters/,
    );
});
