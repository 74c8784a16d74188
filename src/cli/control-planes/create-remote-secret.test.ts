import assert from "node:assert/strict";
import { test } from "node:test";
import { parse } from "yaml";
import { describeError } from "../../base/index.ts";
import type { KubernetesObject } from "../../api/index.ts";
import { renderInstall, resolveSettings } from "../../install/index.ts";
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

async function serin(line: string, cluster: FakeCluster): Promise<FakeContext> {
  const context = new FakeContext(cluster);
  await createProgram(context).parseAsync(["create-remote-secret", ...line.split(" ")]);
  return context;
}

test("the secret contains a kubeconfig with the reader's token", async () => {
  const { output } = await serin("--name c0", { objects: { ServiceAccount: [account], Secret: [token] } });
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
  /** The rules that the account gets in all namespaces, and those in its own one. */
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
