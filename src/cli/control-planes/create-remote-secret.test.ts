import assert from "node:assert/strict";
import { test } from "node:test";
import { parse } from "yaml";
import { describeError } from "../../base/index.ts";
import type { KubernetesObject } from "../../api/index.ts";
import { renderInstall, resolveSettings } from "../../install/index.ts";
import type { KubeConfig } from "../../kube/index.ts";
import { createProgram } from "../program.ts";
import { FakeContext, type FakeCluster } from "../testing/fake-context.ts";

const base64 = (text: string): string => Buffer.from(text).toString("base64");
const account = { metadata: { name: "istio-reader-service-account", namespace: "istio-system" } };
const token = {
  metadata: {
    name: "token",
    namespace: "istio-system",
    annotations: { "kubernetes.io/service-account.name": "istio-reader-service-account" },
  },
  type: "kubernetes.io/service-account-token",
  data: { token: base64("secret-token"), "ca.crt": base64("root") },
} as KubernetesObject;

const server = "https://10.0.0.1:6443";

async function serin(line: string, given: FakeCluster): Promise<FakeContext> {
  const cluster = { ...given, kubeConfig: { server, ...given.kubeConfig } };
  const context = new FakeContext(cluster);
  await createProgram(context).parseAsync(["create-remote-secret", ...line.split(" ")]);
  return context;
}

test("the secret contains a kubeconfig with the reader's token", async () => {
  const { output } = await serin("--name c0 -d manifests", { objects: { ServiceAccount: [account], Secret: [token] } });
  const secret = parse(output.split("---")[0] ?? "") as {
    readonly metadata: unknown;
    readonly stringData: Readonly<Record<string, string>>;
  };
  assert.deepEqual(secret.metadata, {
    annotations: { "networking.istio.io/cluster": "c0" },
    labels: { "istio/multiCluster": "true" },
    name: "istio-remote-secret-c0",
    namespace: "istio-system",
  });
  const kubeconfig = parse(secret.stringData["c0"] ?? "") as Record<string, unknown>;
  assert.deepEqual(kubeconfig["clusters"], [
    { name: "c0", cluster: { "certificate-authority-data": base64("root"), server: "https://10.0.0.1:6443" } },
  ]);
  assert.deepEqual(kubeconfig["users"], [{ name: "c0", user: { token: "secret-token" } }]);
});

const pem = (text: string): string => `-----BEGIN CERTIFICATE-----\n${text}\n-----END CERTIFICATE-----\n`;

test("the kubeconfig's name of the server's certificate goes into the secret, and what does not go there is reported", async () => {
  const root = pem("root");
  const objects = {
    ServiceAccount: [account],
    Secret: [{ ...token, data: { token: base64("t"), "ca.crt": base64(root) } } as KubernetesObject],
  };
  const made = async (line: string, kubeConfig: Partial<KubeConfig>) => {
    const { output, errors } = await serin(`--name c0${line}`, { objects, kubeConfig: { ca: root, ...kubeConfig } });
    const { stringData } = parse(output.split("---\n").at(-2) ?? "") as { stringData: Record<string, string> };
    const config = parse(stringData["c0"] ?? "") as { clusters: { cluster: Record<string, string> }[] };
    const { server: address, "tls-server-name": name } = config.clusters[0]?.cluster ?? {};
    return { address, name, errors };
  };
  const named = { tlsServerName: "api.internal" };
  assert.deepEqual(await made("", named), { address: server, name: "api.internal", errors: "" });
  assert.deepEqual(await made(" --tls-server-name other", named), { address: server, name: "other", errors: "" });
  const elsewhere = await made(" --server https://lb", named);
  assert.deepEqual([elsewhere.address, elsewhere.name], ["https://lb", undefined]);
  assert.match(elsewhere.errors, /expects the name api\.internal .*pass --tls-server-name/);
  assert.match((await made("", { proxy: new URL("http://proxy:3128") })).errors, /through the proxy proxy:3128/);
  assert.match((await made("", { insecure: true })).errors, /accepts any certificate \(insecure-skip-tls-verify\)/);
  assert.match((await made("", { ca: pem("company") })).errors, /trusts another authority than the cluster's own/);
  assert.equal((await made("", { ca: `${pem("company")}${root.replaceAll("\n", "\r\n")}` })).errors, "");
});

test("missing objects are created, or reported in a dry run", async () => {
  await assert.rejects(serin("--name c0 --dry-run", {}), (error) =>
    describeError(error).startsWith(
      "there is no service account istio-reader-service-account in namespace istio-system\n",
    ),
  );
  await assert.rejects(
    serin("--name C_0", { objects: { ServiceAccount: [account], Secret: [token] } }),
    /--name must be lower-case letters, digits, dashes and dots, got "C_0"/,
  );
  await assert.rejects(
    serin("--name c0 --auth-type plugin", {}),
    /--auth-type plugin is not supported: expected bearer-token/,
  );
});

test("a created account has the rights of the account that an installation creates", async () => {
  const { appliedObjects } = await serin("--name c0", { objects: { Secret: [token] } });
  const { value: settings } = resolveSettings({ specs: [{ profile: "default" }] }, { hub: "hub", tag: "1.0.0" });
  assert.ok(settings !== undefined);
  const { components } = renderInstall(settings, { istio: [], rollout: [] });
  const rulesOf = (objects: readonly KubernetesObject[], roleName: string): unknown =>
    objects
      .filter((object) => (object as { kind?: string }).kind === "ClusterRole" && object.metadata.name === roleName)
      .map((role) => (role as { rules?: unknown }).rules);
  assert.deepEqual(
    rulesOf(appliedObjects, "istio-reader-service-account-istio-system"),
    rulesOf(
      components.flatMap(({ objects }) => objects),
      "istio-reader-clusterrole-istio-system",
    ),
  );
});

test("an account that is created for a control plane outside of its cluster has the rights of an installed one", async () => {
  const ofIstiod = {
    ...token,
    metadata: { ...token.metadata, annotations: { "kubernetes.io/service-account.name": "istiod" } },
  };
  const { appliedObjects } = await serin("--name c0 --type config", { objects: { Secret: [ofIstiod] } });
  const { value: settings } = resolveSettings({ specs: [{ profile: "default" }] }, { hub: "hub", tag: "1.0.0" });
  assert.ok(settings !== undefined);
  const installed = renderInstall(settings, { istio: [], rollout: [] }).components.flatMap(({ objects }) => objects);
  const rightsOf = (objects: readonly KubernetesObject[]): unknown =>
    ["ClusterRole", "Role"].map((kind) => {
      const bound = objects.flatMap((object) => {
        const { subjects, roleRef } = object as unknown as Binding;
        const isOfIstiod = subjects?.some(({ name, namespace }) => name === "istiod" && namespace === "istio-system");
        return object.kind === `${kind}Binding` && isOfIstiod === true ? [roleRef.name] : [];
      });
      return objects
        .filter((object) => object.kind === kind && bound.includes(object.metadata.name ?? ""))
        .flatMap((role) => (role as { rules?: readonly unknown[] }).rules ?? [])
        .map((rule) => JSON.stringify(rule))
        .sort();
    });
  assert.deepEqual(rightsOf(appliedObjects), rightsOf(installed));
  assert.deepEqual(
    appliedObjects.filter(({ kind }) => kind?.startsWith("Role") === true).map(({ metadata }) => metadata.namespace),
    ["istio-system", "istio-system"],
  );
});

interface Binding {
  readonly subjects?: readonly { readonly name: string; readonly namespace: string }[];
  readonly roleRef: { readonly name: string };
}
