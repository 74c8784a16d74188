import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { describeError, userError } from "../../base/index.ts";
import type { KindDefinition } from "../../api/index.ts";
import { istioKinds } from "../../api/istio/index.ts";
import type { KubeClient } from "../../kube/index.ts";
import { meshConfigOf, readAnalysedCluster } from "./index.ts";

test("reading that takes too long ends with the hint of the caller, who knows its flags", async () => {
  const client = {
    list: async () => {
      await sleep(20);
      return { items: [] };
    },
  } as unknown as KubeClient;
  const selection = { istioNamespace: "istio-system", revision: "default", kinds: istioKinds };
  const errorWith = async (hint?: string): Promise<string> =>
    await readAnalysedCluster(client, selection, { timeoutMs: 1, ...(hint === undefined ? {} : { hint }) }).then(
      () => assert.fail("it was read"),
      describeError,
    );
  const late = "the cluster's objects could not be read within 0.001 s";
  assert.equal(await errorWith(), late);
  assert.equal(await errorWith("pass a longer --timeout"), `${late}\n  hint: pass a longer --timeout`);
});

test("objects of a cluster whose definitions lack a kind's newest version are read in an older one", async () => {
  const asked: string[] = [];
  const client = {
    list: async ({ kind, group, versions: [version] }: KindDefinition) => {
      if (kind === "VirtualService" || kind === "Sidecar") asked.push(`${kind} ${version}`);
      if (kind === "VirtualService" && version === "v1beta1")
        return { items: [{ metadata: { name: "reviews", namespace: "shop" } }] };
      throw userError("not-found", `there is no ${kind} in ${group}/${version}`);
    },
  } as unknown as KubeClient;
  const selection = { istioNamespace: "istio-system", revision: "default", kinds: istioKinds };
  const { objects, notServed } = await readAnalysedCluster(client, selection, { timeoutMs: 10_000 });
  assert.deepEqual(
    objects.map(({ apiVersion, kind }) => [apiVersion, kind]),
    [["networking.istio.io/v1beta1", "VirtualService"]],
  );
  assert.deepEqual(
    asked.toSorted(),
    ["Sidecar v1", "Sidecar v1alpha3", "Sidecar v1beta1", "VirtualService v1", "VirtualService v1beta1"],
    "each version once",
  );
  assert.ok(notServed.has("networking.istio.io/Sidecar") && !notServed.has("networking.istio.io/VirtualService"));
});

test("a tag selects the objects and the mesh config of the revision to which it leads", async () => {
  const labelled = (name: string, revision: string) => ({
    apiVersion: "networking.istio.io/v1",
    kind: "Gateway",
    metadata: { name, namespace: "shop", labels: { "istio.io/rev": revision } },
  });
  const lists: Readonly<Record<string, readonly object[]>> = {
    gateways: [labelled("by-revision", "1-31"), labelled("by-tag", "prod"), labelled("other", "1-30")],
    mutatingwebhookconfigurations: [
      { metadata: { name: "tag", labels: { "istio.io/tag": "prod", "istio.io/rev": "1-31" } } },
      { metadata: { name: "default", labels: { "istio.io/tag": "default", "istio.io/rev": "1-31" } } },
    ],
    configmaps: [
      { metadata: { name: "istio-1-31", namespace: "istio-system" }, data: { mesh: "trustDomain: example.com" } },
    ],
  };
  const client = {
    list: async ({ plural, group }: { plural: string; group: string }) =>
      await Promise.resolve({ items: group === "gateway.networking.k8s.io" ? [] : (lists[plural] ?? []) }),
  } as unknown as KubeClient;
  const gatewaysOf = async (revision: string): Promise<readonly (string | undefined)[]> => {
    const { objects } = await readAnalysedCluster(
      client,
      { istioNamespace: "istio-system", revision },
      { timeoutMs: 10_000 },
    );
    return objects.filter(({ kind }) => kind === "Gateway").map(({ metadata }) => metadata.name);
  };
  assert.deepEqual(await gatewaysOf("prod"), ["by-revision", "by-tag"]);
  assert.deepEqual(await gatewaysOf("1-30"), ["other"]);
  for (const revision of ["prod", "default", "1-31"]) {
    const selection = { istioNamespace: "istio-system", revision };
    const contents = await readAnalysedCluster(client, selection, { timeoutMs: 10_000 });
    assert.equal(meshConfigOf(contents, selection)?.trustDomain, "example.com", revision);
  }
});
