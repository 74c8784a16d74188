import assert from "node:assert/strict";
import { test } from "node:test";
import { mutualTls } from "../testing/filter-request.ts";
import { unknownWorkload } from "../terms/workload-labels.ts";
import type { Endpoint } from "../upstream/cluster.ts";
import { plainRecord } from "../testing/plain-record.ts";
import type { ExchangeRecord } from "./exchange-record.ts";
import { compileRecordExpression } from "./record-expression.ts";

test("an expression over a record reads the peers' fields and further labels, of which absent ones have no value", () => {
  const peer = { workload: "web-v1", namespace: "shop", canonicalName: "web", canonicalRevision: "v1", cluster: "k" };
  const read = (text: string, record: Partial<ExchangeRecord>): unknown =>
    compileRecordExpression(text, (problem) => new Error(problem)).evaluate(
      { ...plainRecord, ...record },
      { request: new Map(), response: new Map() },
    );
  const endpoint = { config: { workload: peer } } as Endpoint;
  const labelled = { ...peer, labels: { "custom-label": "b" } };
  for (const [text, record, wanted] of [
    ["filter_state.upstream_peer.labels['custom-label']", { upstreamPeer: labelled }, "b"],
    ["filter_state.downstream_peer.labels['custom-label']", { downstreamPeer: labelled }, "b"],
    [
      "filter_state['downstream_peer'].service + filter_state.downstream_peer.revision",
      { downstreamPeer: peer },
      "webv1",
    ],
    ["filter_state.downstream_peer.labels['custom-label']", { downstreamPeer: peer }, undefined],
    ["filter_state.upstream_peer.labels['other']", { upstreamPeer: labelled }, undefined],
    ["filter_state.upstream_peer.namespace", { endpoint }, "shop"],
    ["filter_state.upstream_peer.workload", { upstreamPeer: labelled, endpoint }, "web-v1"],
    ["has(filter_state.upstream_peer)", {}, false],
    ["has(filter_state.upstream_peer)", { endpoint: { config: { workload: unknownWorkload } } as Endpoint }, false],
    [
      "has(filter_state.downstream_peer) ? filter_state.downstream_peer.app : 'none'",
      { connection: { ...plainRecord.connection, peer } },
      "web",
    ],
  ] as const)
    assert.equal(read(text, record), wanted, text);
});

test("an expression over a record reads the client's certificate, of which absent parts have no value", () => {
  const read = (text: string, identity: string): unknown => {
    const tls = mutualTls(identity, {
      peerSubject: () => "CN=a",
      peerDnsNames: () => ["a.test", "b.test"],
      peerCertificateHash: () => (identity === "" ? "" : "00ff"),
    });
    const record = { ...plainRecord, connection: { ...plainRecord.connection, tls } };
    return compileRecordExpression(text, (problem) => new Error(problem)).evaluate(record, {
      request: new Map(),
      response: new Map(),
    });
  };
  for (const [name, wanted] of [
    ["connection.uri_san_peer_certificate", "spiffe://td/ns/n/sa/a"],
    ["connection.subject_peer_certificate", "CN=a"],
    ["connection.dns_san_peer_certificate", "a.test"],
    ["connection.sha256_peer_certificate_digest", "00ff"],
    ["filter_state['io.istio.peer_principal']", "spiffe://td/ns/n/sa/a"],
    ["has(connection.sha256_peer_certificate_digest)", true],
  ] as const)
    assert.equal(read(name, "spiffe://td/ns/n/sa/a"), wanted, name);
  assert.equal(read("connection.uri_san_peer_certificate", ""), undefined);
  assert.equal(read("filter_state['io.istio.peer_principal']", ""), undefined);
  assert.equal(read("has(connection.sha256_peer_certificate_digest)", ""), false);
});
