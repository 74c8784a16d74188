import assert from "node:assert/strict";
import { test } from "node:test";
import { createLogger, systemClock } from "../../base/index.ts";
import { MetricsRegistry, renderPrometheus } from "../../telemetry/index.ts";
import { parseLocalConfig } from "../state/local-config.ts";
import { MeshState } from "../state/mesh-state.ts";
import type { Workload } from "../state/model.ts";
import { ConnectionTelemetry, type ConnectionDetails } from "./connection-record.ts";

function mesh(revision: string): { readonly source: Workload; readonly destination: Workload } {
  const state = new MeshState();
  parseLocalConfig(
    `
workloads:
- {uid: s, name: s, namespace: default, serviceAccount: sleep, workloadIps: [10.0.0.1], canonicalRevision: ${revision}}
- {uid: w, name: w, namespace: default, serviceAccount: web, workloadIps: [10.0.0.2]}
`,
    state,
  );
  return {
    source: state.workloadByUid("s") ?? assert.fail(),
    destination: state.workloadByUid("w") ?? assert.fail(),
  };
}

function telemetry(registry = new MetricsRegistry()) {
  const lines: string[] = [];
  const log = createLogger({ scope: "ztunnel", write: (line) => void lines.push(line) });
  const counts = () => {
    const text = renderPrometheus(registry).split("\n");
    return (name: string, label: string): number =>
      text
        .filter((line) => line.startsWith(`${name}{`) && line.includes(label))
        .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" "))), 0);
  };
  return { lines, counts, telemetry: new ConnectionTelemetry(registry, log, { ...systemClock, steadyMs: () => 0 }) };
}

const sleep = "spiffe://cluster.local/ns/default/sa/sleep";
const addresses = {
  sourceAddress: { address: "10.0.0.1", port: 4 },
  destinationAddress: { address: "10.0.0.2", port: 15_008 },
};

test("each end of a connection is logged with its own direction and bytes", () => {
  const { lines, telemetry: record } = telemetry();
  const { source, destination } = mesh("v1");
  const outbound: ConnectionDetails = {
    ...addresses,
    reporter: "source",
    hboneTarget: "10.0.0.2:80",
    source,
    sourceIdentity: sleep,
    destination,
    mutualTls: true,
  };
  for (const reporter of ["source", "destination"] as const) {
    const opened = record.open({ ...outbound, reporter });
    opened.onForward(7);
    opened.onBackward(2);
    opened.finish();
    opened.finish("too late");
  }
  record.open({ ...addresses, reporter: "source", mutualTls: false }).finish("refused");
  const ends =
    `src.addr=10.0.0.1:4 src.workload="s" src.namespace="default" src.identity="${sleep}" src.cluster="Kubernetes"` +
    ` dst.addr=10.0.0.2:15008 dst.hbone_addr=10.0.0.2:80 dst.workload="w" dst.namespace="default"` +
    ` dst.identity="spiffe://cluster.local/ns/default/sa/web" dst.cluster="Kubernetes"`;
  assert.deepEqual(
    lines.map((line) => line.split("\t").slice(1).join("\t")),
    [
      `info\taccess\tconnection complete\t${ends} direction="outbound" bytes_sent=7 bytes_recv=2 duration="0ms"\n`,
      `info\taccess\tconnection complete\t${ends} direction="inbound" bytes_sent=2 bytes_recv=7 duration="0ms"\n`,
      `error\taccess\tconnection complete\tsrc.addr=10.0.0.1:4 dst.addr=10.0.0.2:15008 direction="outbound" bytes_sent=0 bytes_recv=0 duration="0ms" error="refused"\n`,
    ],
  );
});

test("a connection is counted for its workloads, service and identity, with the current fields of its workload", () => {
  const { counts, telemetry: record } = telemetry();
  const { source, destination } = mesh("v1");
  const details = (sourceIdentity: string): ConnectionDetails => ({
    ...addresses,
    reporter: "destination",
    source,
    sourceIdentity,
    destination,
    mutualTls: true,
  });
  // More identities than the cache holds, each used twice.
  const identities = Array.from({ length: 20 }, (_, index) => `spiffe://cluster.local/ns/default/sa/sleep-${index}`);
  for (const identity of [...identities, ...identities]) {
    const opened = record.open(details(identity));
    opened.onForward(5);
    opened.finish();
  }
  const counted = counts();
  for (const identity of identities) {
    const label = `source_principal="${identity}"`;
    assert.equal(counted("istio_tcp_connections_opened_total", label), 2, identity);
    assert.equal(counted("istio_tcp_connections_closed_total", label), 2, identity);
    assert.equal(counted("istio_tcp_received_bytes_total", label), 10, identity);
  }
  record.open(details(sleep)).finish("refused");
  const changed = mesh("v2").source;
  record.open({ ...details(sleep), source: changed });
  record.open({ ...details(sleep), source: changed });
  const later = counts();
  assert.equal(later("istio_tcp_connections_closed_total", 'response_flags="CONNECT"'), 1);
  assert.equal(later("istio_tcp_connections_failed_total", 'response_flags="CONNECT"'), 1);
  assert.equal(later("istio_tcp_connections_opened_total", 'source_canonical_revision="v2"'), 2);
});

test("pods whose labels change all the time do not take the series of other namespaces, and open connections count on", () => {
  const { counts, telemetry: record } = telemetry(new MetricsRegistry({ maxSeriesPerMetric: 20 }));
  const openFrom = (namespace: string, revision: string) => {
    const { source, destination } = mesh(revision);
    return record.open({
      ...addresses,
      reporter: "destination",
      source: { ...source, namespace },
      destination: { ...destination, namespace },
      mutualTls: true,
    });
  };
  const oldest = openFrom("evil", "v0");
  for (let index = 1; index < 100; index += 1) openFrom("evil", `v${index}`).finish();
  const own = openFrom("shop", "v1");
  own.onForward(3);
  own.finish();
  const label = 'destination_workload_namespace="shop"';
  assert.deepEqual(
    ["connections_opened", "connections_closed", "received_bytes"].map((name) =>
      counts()(`istio_tcp_${name}_total`, label),
    ),
    [1, 1, 3],
  );
  // The series of the oldest connection is gone. The rest of its bytes count in the series for all that have none.
  oldest.onForward(5);
  assert.equal(counts()("istio_tcp_received_bytes_total", 'destination_workload_namespace="overflow"'), 5);
});
