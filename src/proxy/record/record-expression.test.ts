import assert from "node:assert/strict";
import { test } from "node:test";
import { mutualTls } from "../testing/filter-request.ts";
import { plainRecord } from "../testing/plain-record.ts";
import { compileRecordExpression } from "./record-expression.ts";

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
