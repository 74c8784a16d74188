import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:tls";
import { test } from "node:test";
import { certificateFingerprint, transientError, userError } from "../../../base/index.ts";
import type { MeshUpgrade } from "../../../api/serin/index.ts";
import type { KubeClient } from "../../../kube/index.ts";
import { createCertificate } from "../../admission/create-certificate.ts";
import type { MeshWorld } from "../../plan/index.ts";
import { fakePod, fakeView, standingClock } from "../checks/testing/fake-mesh.ts";
import type { ClusterView } from "../cluster-view.ts";
import { observeRootsCompatible, refuseOtherRoot, trustedDomains } from "./probe-roots.ts";
import { SilentPods } from "../silent-pods.ts";

const nowMs = Date.parse("2026-01-01T00:00:00Z");
const [root, other] = [
  (await createCertificate(["root.test"], nowMs)).certificate,
  (await createCertificate(["other.test"], nowMs)).certificate,
];

const upgrade = { spec: { from: { revision: "old" }, to: { revision: "new" } } } as unknown as MeshUpgrade;
const istiod = (revision: string, namespace: string) => ({
  kind: "Deployment",
  metadata: { name: `istiod-${revision}`, namespace, labels: { app: "istiod", "istio.io/rev": revision } },
});

interface Cluster {
  readonly installedIn?: string;
  readonly running?: readonly object[];
  /** The Secrets of `mesh-control`, each with its root. An error is the API server's answer to the read instead. */
  readonly secrets?: Readonly<Record<string, string>> | Error;
  readonly dataPlanes?: MeshWorld["dataPlanes"];
}

/** Runs `refuseOtherRoot` for an upgrade from a control plane in `istio-system` whose data planes trust `root`. */
async function refuse({
  installedIn = "mesh-control",
  running = [istiod("old", "istio-system")],
  secrets = {},
  dataPlanes = ["ambient"],
}: Cluster): Promise<void> {
  const client = {
    get: async (_kind: object, name: string, namespace: string) => {
      if (name === "istio-ca-root-cert") return await Promise.resolve({ data: { "root-cert.pem": root } });
      assert.equal(namespace, "mesh-control", "no Secret of another namespace is read");
      if (secrets instanceof Error) throw secrets;
      const pem = secrets[name];
      return pem === undefined ? undefined : { data: { "ca-cert.pem": Buffer.from(pem).toString("base64") } };
    },
  } as unknown as KubeClient;
  const view = {
    deployments: { list: () => running },
    controlPlaneNamespaces: () => new Set(["istio-system", "mesh-control"]),
  } as unknown as ClusterView;
  await refuseOtherRoot(client, view, upgrade, { installs: [[istiod("new", installedIn)]], dataPlanes });
}

test("a control plane of another namespace is not installed with a root that no data plane trusts", async () => {
  await assert.rejects(refuse({ secrets: { "istio-ca-secret": other } }), {
    message:
      /^spec\.to\.install: new would run in namespace mesh-control, and old runs in istio-system\. It would sign with .*other\.test.* of Secret mesh-control\/istio-ca-secret, and data planes trust .*root\.test/,
    hint: "copy the Secret cacerts of namespace istio-system, or else its istio-ca-secret, to namespace mesh-control",
  });
  await assert.rejects(
    refuse({ secrets: { cacerts: other, "istio-ca-secret": root } }),
    /of Secret mesh-control\/cacerts/,
  );
  await assert.rejects(
    refuse({}),
    /would make a root of its own, because namespace mesh-control has neither Secret cacerts nor istio-ca-secret/,
  );
});

test("a control plane of another namespace is installed with the root, or a bundle that contains it", async () => {
  await refuse({ secrets: { cacerts: root } });
  await refuse({ secrets: { "istio-ca-secret": `${other}\n${root}` } });
});

test("the roots of a running control plane are compared by what it reports, and its namespace's Secrets do not count", async () => {
  const running = [istiod("old", "istio-system"), istiod("new", "mesh-control")];
  await refuse({ running, secrets: { cacerts: other } });
  await refuse({ installedIn: "istio-system" });
  await refuse({ running: [] });
});

test("an engine that may not read the next control plane's Secrets names the right that it needs", async () => {
  const forbidden = userError("forbidden", "secrets is forbidden");
  await assert.rejects(refuse({ secrets: forbidden }), {
    message: /mesh-control.*the engine may not read the root with which it would sign$/,
    hint: /^in namespace mesh-control, bind a Role that lets the engine's account get the Secrets cacerts and istio-ca-secret/,
  });
  await refuse({ secrets: forbidden, dataPlanes: [] });
  await assert.rejects(refuse({ secrets: transientError("unavailable", "try again") }), /try again/);
});

test("a mesh config that cannot be read names no trust domains, and ends no observation", async () => {
  const domainsOf = async (mesh?: string): Promise<readonly string[]> => {
    const client = { get: async () => await Promise.resolve({ data: { mesh } }) } as unknown as KubeClient;
    return await trustedDomains(client, { runningPods: () => [] } as unknown as ClusterView, "old");
  };
  assert.deepEqual(await domainsOf("trustDomain: one\ntrustDomainAliases: [two]"), ["one", "two"]);
  assert.deepEqual(await domainsOf("trustDomain: 3"), []);
  assert.deepEqual(await domainsOf("trustDomain: ["), []);
  assert.deepEqual(await domainsOf(), []);
});

test("an istiod that cannot prove itself because its root is unpublished fails the step at once, with any other fault it waits", async (context) => {
  const [published, foreign] = [
    await createCertificate(["istiod.istio-system.svc"], nowMs),
    await createCertificate(["foreign.test"], nowMs),
  ];
  const host = "127.0.15.12";
  const server = createServer({
    ALPNProtocols: ["h2"],
    cert: foreign.certificate,
    key: foreign.privateKey,
  });
  server.listen(15_012, host);
  context.after(() => server.close());
  await once(server, "listening");
  const istiodPod = (revision: string) =>
    fakePod({
      name: `istiod-${revision}`,
      namespace: "istio-system",
      labels: { app: "istiod", "istio.io/rev": revision },
      status: { podIP: host, conditions: [{ type: "Ready", status: "True" }] },
    });
  const fingerprint = certificateFingerprint(new X509Certificate(published.certificate));
  const pilotDebug = {
    ask: async ({ revision }: { readonly revision: string }) => {
      if (revision === "new") throw transientError("peer-identity", "it does not prove that it is this control plane");
      return await Promise.resolve(JSON.stringify({ signing: fingerprint, trusted: [fingerprint] }));
    },
    lacks: () => false,
  } as unknown as ClusterView["pilotDebug"];
  const view = Object.assign(fakeView([istiodPod("old"), istiodPod("new")]), {
    pilotDebug,
    silentPods: new SilentPods(standingClock()),
  });
  const client = {
    get: async (_kind: object, name: string) =>
      await Promise.resolve(
        name === "istio-ca-root-cert" ? { data: { "root-cert.pem": published.certificate } } : undefined,
      ),
  } as unknown as KubeClient;
  const observe = async () => await observeRootsCompatible(client, view, { from: "old", to: "new" }, nowMs);
  const failed = await observe();
  assert.equal(failed.state, "failed");
  assert.match(failed.state === "failed" ? failed.detail : "", /foreign\.test/);
  server.setSecureContext({ cert: published.certificate, key: published.privateKey });
  const waiting = await observe();
  assert.match(waiting.state === "waiting" ? waiting.detail : "", /it does not prove that it is this control plane/);
});
