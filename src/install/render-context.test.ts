import assert from "node:assert/strict";
import { test } from "node:test";
import type { UntypedObject } from "../api/index.ts";
import { renderInstall, resolveSettings } from "./index.ts";

/** Returns a workload of the ambient profile, installed with these values. */
function workload(kind: string, name: string, values: Record<string, unknown>): UntypedObject {
  const { value: settings } = resolveSettings({ specs: [{ profile: "ambient", values }] }, { hub: "h", tag: "9.9.9" });
  assert.ok(settings);
  const { components } = renderInstall(settings, { istio: [], rollout: [] });
  const found = components
    .flatMap(({ objects }) => objects)
    .find((object) => object.kind === kind && object.metadata.name === name);
  assert.ok(found, `${kind} ${name}`);
  return found;
}

test("every pod mounts the mesh's root, and its revocation lists, by the names under which istiod writes them", () => {
  interface PodTemplate {
    readonly spec: {
      readonly volumes: readonly { readonly name: string; readonly configMap?: { readonly name: string } }[];
      readonly containers: readonly { readonly env: readonly { readonly name: string; readonly value?: string }[] }[];
    };
  }
  const podOf = (kind: string, name: string, values: Record<string, unknown>): PodTemplate["spec"] => {
    const { template } = workload(kind, name, values)["spec"] as {
      readonly template: PodTemplate;
    };
    return template.spec;
  };
  const rootOf = (kind: string, name: string, values: Record<string, unknown>): unknown => {
    const { name: _name, ...source } = podOf(kind, name, values).volumes.find(
      (volume) => volume.name === "istiod-ca-cert",
    ) ?? { name };
    return source;
  };
  const written = (values: Record<string, unknown>): Record<string, string | undefined> =>
    Object.fromEntries(
      (podOf("Deployment", "istiod", values).containers[0]?.env ?? [])
        .filter(({ name }) => /^PILOT_(CA_CERT|CRL)_CONFIGMAP$/.test(name))
        .map(({ name, value }) => [name, value]),
    );
  const workloads = [
    ["DaemonSet", "ztunnel"],
    ["Deployment", "istio-ingressgateway"],
  ] as const;
  const renamed = { global: { trustBundleName: "mine" }, pilot: { crlConfigMapName: "lists" } };
  const bundled = { pilot: { env: { ENABLE_CLUSTER_TRUST_BUNDLE_API: true } } };
  const bundle = { name: "istio.io:istiod-ca:root-cert", path: "root-cert.pem" };
  for (const [kind, name] of workloads) {
    assert.deepEqual(rootOf(kind, name, {}), { configMap: { name: "istio-ca-root-cert" } }, name);
    assert.deepEqual(rootOf(kind, name, renamed), { configMap: { name: "mine" } }, name);
    assert.deepEqual(rootOf(kind, name, bundled), { projected: { sources: [{ clusterTrustBundle: bundle }] } }, name);
  }
  assert.deepEqual(written({}), {});
  assert.deepEqual(written(renamed), { PILOT_CA_CERT_CONFIGMAP: "mine", PILOT_CRL_CONFIGMAP: "lists" });
  const lists = podOf("DaemonSet", "ztunnel", { ...renamed, ztunnel: { peerCaCrl: { enabled: true } } }).volumes.find(
    ({ name }) => name === "crl-volume",
  );
  assert.equal(lists?.configMap?.name, "lists");
  // ztunnel may belong to a control plane that another installation wrote.
  assert.deepEqual(rootOf("DaemonSet", "ztunnel", { ztunnel: { trustBundleName: "theirs" } }), {
    configMap: { name: "theirs" },
  });
});
