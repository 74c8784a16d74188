import assert from "node:assert/strict";
import { after, test } from "node:test";
import { clusterTrustBundleKind, configMapKind, namespaceKind } from "../../api/kubernetes/index.ts";
import { silentLogger, systemClock } from "../../base/index.ts";
import { until } from "../../base/testing/index.ts";
import { FakeKubeClient } from "../testing/fake-kube-client.ts";
import { namespace } from "../testing/model-fixture.ts";
import { runRootCertificateController } from "./root-certificate-controller.ts";

const stopped = new AbortController();
const running: Promise<void>[] = [];
after(async () => {
  stopped.abort();
  await Promise.all(running);
});

const state = { root: "root one", revocations: "", changed: () => undefined as void };
const options = (client: FakeKubeClient) => ({
  client,
  root: () => state.root,
  revocations: () => state.revocations,
  onRootChange: (changed: () => void) => (state.changed = changed),
  revocationConfigMap: "istio-ca-crl",
  clock: systemClock,
  log: silentLogger,
});
const data = async (client: FakeKubeClient, place: string, name: string): Promise<Record<string, string> | undefined> =>
  (await client.get(configMapKind, name, place))?.data;

test("every namespace gets the root, even kube-system; edits are reverted, and a new root and new revocation lists reach every namespace", async () => {
  const client = new FakeKubeClient();
  for (const name of ["shop", "kube-system", "kube-public"]) client.put(namespaceKind, namespace(name));
  running.push(runRootCertificateController(options(client), stopped.signal));
  const hasRoot = (place: string, text: string) => async (): Promise<boolean> =>
    (await data(client, place, "istio-ca-root-cert"))?.["root-cert.pem"] === text;
  await until(hasRoot("shop", "root one"));
  await until(hasRoot("kube-system", "root one"));
  client.put(configMapKind, {
    metadata: { name: "istio-ca-root-cert", namespace: "shop" },
    data: { "root-cert.pem": "mine" },
  } as never);
  await until(hasRoot("shop", "root one"));
  await client.delete(configMapKind, "istio-ca-root-cert", "shop");
  await until(hasRoot("shop", "root one"));
  client.put(namespaceKind, namespace("late"));
  await until(hasRoot("late", "root one"));
  assert.equal(await data(client, "shop", "istio-ca-crl"), undefined, "there are no revocation lists yet");
  Object.assign(state, { root: "root two", revocations: "lists" });
  state.changed();
  await until(hasRoot("late", "root two"));
  await until(async () => (await data(client, "late", "istio-ca-crl"))?.["ca-crl.pem"] === "lists");
  assert.equal(await data(client, "kube-public", "istio-ca-root-cert"), undefined);
  client.put(configMapKind, {
    metadata: { name: "istio-ca-crl", namespace: "shop" },
    data: { "ca-crl.pem": "mine" },
  } as never);
  state.revocations = "";
  state.changed();
  await until(async () => (await data(client, "late", "istio-ca-crl")) === undefined);
  assert.deepEqual(await data(client, "shop", "istio-ca-crl"), { "ca-crl.pem": "mine" });
  client.put(configMapKind, {
    metadata: { name: "istio-ca-crl", namespace: "late", labels: { "istio.io/config": "true" } },
    data: { "ca-crl.pem": "" },
  } as never);
  client.put(namespaceKind, namespace("after"));
  await until(hasRoot("after", "root two"));
  assert.deepEqual(
    await data(client, "late", "istio-ca-crl"),
    { "ca-crl.pem": "" },
    "two control planes would take turns for ever, because upstream's control plane keeps an empty one",
  );
  assert.deepEqual(await data(client, "late", "istio-ca-root-cert"), { "root-cert.pem": "root two" });
});

test("a ClusterTrustBundle replaces the ConfigMaps where it is enabled", async () => {
  const client = new FakeKubeClient();
  client.put(namespaceKind, namespace("shop"));
  running.push(
    runRootCertificateController(
      { ...options(client), revocationConfigMap: undefined, clusterTrustBundle: true },
      stopped.signal,
    ),
  );
  const bundle = async (): Promise<unknown> =>
    (await client.get(clusterTrustBundleKind, "istio.io:istiod-ca:root-cert"))?.spec;
  await until(async () => (await bundle()) !== undefined);
  assert.deepEqual(await bundle(), { signerName: "istio.io/istiod-ca", trustBundle: state.root });
  assert.equal(await data(client, "shop", "istio-ca-root-cert"), undefined);
});

test("a namespace that the mesh config excludes gets nothing until it is included", async () => {
  const client = new FakeKubeClient();
  for (const name of ["in", "out"]) client.put(namespaceKind, namespace(name));
  let isLetIn = false;
  const clock = {
    ...systemClock,
    sleep: async (_ms: number, signal?: AbortSignal) => await systemClock.sleep(1, signal),
    after: (_ms: number, run: () => void) => systemClock.after(1, run),
  };
  running.push(
    runRootCertificateController(
      { ...options(client), clock, includes: (name) => isLetIn || name === "in" },
      stopped.signal,
    ),
  );
  await until(async () => (await data(client, "in", "istio-ca-root-cert")) !== undefined);
  assert.equal(await data(client, "out", "istio-ca-root-cert"), undefined);
  isLetIn = true;
  await until(async () => (await data(client, "out", "istio-ca-root-cert")) !== undefined);
});
