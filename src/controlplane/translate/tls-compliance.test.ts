import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { parseAllDocuments } from "yaml";
import type { KubernetesObject } from "../../api/index.ts";
import type { CompliancePolicy } from "../../base/compliance/index.ts";
import { showFeature } from "../testing/feature-fixture.ts";

const objects = ["golden/shop.yaml", "golden/compliance.yaml"].flatMap((file) =>
  parseAllDocuments(readFileSync(new URL(file, import.meta.url), "utf8")).map(
    (document) => document.toJSON() as KubernetesObject,
  ),
);
const resources = [
  "sidecar cluster outbound|80||web.shop.svc.cluster.local",
  "sidecar cluster outbound|5432||db.shop.svc.cluster.local",
  "inbound listener virtualInbound",
  "gateway listener 0.0.0.0_8443",
  "gateway cluster outbound|5432||db.shop.svc.cluster.local",
  "router listener 0.0.0.0_444",
  "router listener 0.0.0.0_445",
  "waypoint listener connect_terminate",
  "waypoint cluster connect_originate",
  "waypoint cluster inbound-vip|5432|tcp|db.shop.svc.cluster.local",
];
/** A mesh config that allows more than the policies do. */
const mesh = {
  tlsDefaults: { cipherSuites: ["ECDHE-RSA-CHACHA20-POLY1305"], ecdhCurves: ["X25519"], minProtocolVersion: "TLSV1_3" },
  meshMTLS: { cipherSuites: ["ECDHE-RSA-AES256-GCM-SHA384", "AES128-GCM-SHA256"] },
};

function parametersIn(value: unknown): unknown[] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) =>
    key === "commonTlsContext" ? [(inner as { tlsParams?: unknown }).tlsParams] : parametersIn(inner),
  );
}

function parametersUnder(compliance: CompliancePolicy): ReadonlyMap<string, readonly unknown[]> {
  const shown = showFeature(
    { mesh, compliance, labels: { istio: "ingressgateway" }, shows: resources.map((of) => ({ of })) },
    objects,
  );
  return new Map(resources.map((name) => [name, parametersIn(shown[name])]));
}

const approved = [
  "ECDHE-ECDSA-AES128-GCM-SHA256",
  "ECDHE-RSA-AES128-GCM-SHA256",
  "ECDHE-ECDSA-AES256-GCM-SHA384",
  "ECDHE-RSA-AES256-GCM-SHA384",
];

test("pqc allows only TLS 1.3 with X25519MLKEM768 in every TLS context, whatever the mesh config and objects request", () => {
  for (const [resource, found] of parametersUnder("pqc")) {
    assert.notEqual(found.length, 0, resource);
    for (const parameters of found) {
      const { tlsMaximumProtocolVersion = "TLSv1_3", ...others } = parameters as Record<string, unknown>;
      const limits = { tlsMinimumProtocolVersion: "TLSv1_3", cipherSuites: approved, ecdhCurves: ["X25519MLKEM768"] };
      assert.deepEqual([others, tlsMaximumProtocolVersion], [limits, "TLSv1_3"], resource);
    }
  }
});

test("fips-140-2 allows only TLS 1.2 with P-256, and those of the configured ciphers that the standard approves", () => {
  const under = parametersUnder("fips-140-2");
  for (const [resource, found] of under) {
    assert.notEqual(found.length, 0, resource);
    for (const parameters of found) {
      const { cipherSuites, ...others } = parameters as { readonly cipherSuites: readonly string[] };
      const version = "TLSv1_2";
      const limits = { tlsMinimumProtocolVersion: version, tlsMaximumProtocolVersion: version, ecdhCurves: ["P-256"] };
      assert.deepEqual(others, limits, resource);
      assert.ok(cipherSuites.length > 0 && cipherSuites.every((cipher) => approved.includes(cipher)), resource);
    }
  }
  const [inbound] = under.get("inbound listener virtualInbound") ?? [];
  assert.deepEqual((inbound as Record<string, unknown>)["cipherSuites"], ["ECDHE-RSA-AES256-GCM-SHA384"]);
});

test("fips-140-3 makes proxies apply their own policy", () => {
  for (const [resource, found] of parametersUnder("fips-140-3")) {
    assert.notEqual(found.length, 0, resource);
    for (const parameters of found)
      assert.deepEqual((parameters as Record<string, unknown>)["compliancePolicies"], ["FIPS_202205"], resource);
  }
});
