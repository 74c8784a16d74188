import assert from "node:assert/strict";
import { test } from "node:test";
import type { Pod } from "../../api/kubernetes/index.ts";
import { parseCanary, type RolloutStatus } from "../../api/serin/index.ts";
import { observeCanaryWorld } from "./canary-world.ts";
import type { CanarySources } from "./canary-world/canary-sources.ts";
import { reference } from "../plan/index.ts";
import { fakeView, sidecarPod } from "./checks/testing/fake-mesh.ts";

test("a Canary of a Deployment whose Service loses its waypoint, or joins ambient without sidecars, stops in its run and not between its runs", async () => {
  const deployment = {
    metadata: { name: "web", namespace: "shop", uid: "1" },
    spec: { replicas: 1, selector: {}, template: { metadata: { labels: { app: "web" } } } },
  };
  const worldOf = async (phase: RolloutStatus["phase"], mode: string | undefined, pods: readonly Pod[] = []) => {
    const { value } = parseCanary({
      metadata: { name: "web", namespace: "shop" },
      spec: { target: { deployment: { name: "web", service: "web" } }, steps: [{ weight: 10 }] },
    });
    assert.ok(value);
    const status = { phase, run: 1, startedAt: "2026-01-01T00:00:00Z" } as RolloutStatus;
    const found: Readonly<Record<string, unknown>> = {
      Service: { metadata: { name: "web" }, spec: { ports: [{ port: 80 }], selector: { app: "web" } } },
      Deployment: deployment,
    };
    const client = {
      get: async ({ kind }: { kind: string }) => await Promise.resolve(found[kind]),
      list: async () => await Promise.resolve({ items: [] }),
    };
    const labels = mode === undefined ? {} : { "istio.io/dataplane-mode": mode };
    const view = Object.assign(fakeView(pods), { namespaces: { get: () => ({ metadata: { labels } }) } });
    const journal = [
      { type: "created", step: "routes", object: reference("v1", "ConfigMap", "of-another-step", "shop") },
    ] as const;
    return await observeCanaryWorld(
      { client, objects: { ...client, rewrittenTemplate: () => undefined }, view } as unknown as CanarySources,
      { ...value, status },
      journal,
    );
  };
  await assert.rejects(worldOf("Judging", "ambient"), /^[^;]*Service shop\/web is in ambient and has no waypoint/);
  await assert.rejects(worldOf("Stuck", "ambient"), /has no waypoint/, "until somebody creates one");
  const client = sidecarPod("client", "default", "client");
  const elsewhere = { ...client, metadata: { ...client.metadata, namespace: "other" } };
  await worldOf("Judging", "ambient", [client]);
  await assert.rejects(worldOf("Judging", "ambient", [elsewhere]), /has no waypoint/);
  await worldOf("Judging", undefined);
  await worldOf("Watching", "ambient");
});

test("a route's canary must be a Service that exists, with its port, before anything is sent there", async () => {
  const rules = [{ backendRefs: [{ name: "shop", port: 80 }] }];
  const worldWith = async (ports: readonly number[] | undefined) => {
    const { value: canary } = parseCanary({
      metadata: { name: "c", namespace: "shop" },
      spec: {
        target: { httpRoute: { name: "shop", stable: { name: "shop", port: 80 }, canary: { name: "next", port: 80 } } },
        steps: [{ weight: 10 }],
      },
    });
    assert.ok(canary);
    const found = {
      metadata: { name: "next" },
      spec: { ports: ports?.map((port) => ({ port })), selector: { app: "n" } },
    };
    const client = {
      get: async (_: unknown, name: string) =>
        await Promise.resolve(name === "next" && ports === undefined ? undefined : found),
      list: async () => await Promise.resolve({ items: [] }),
    };
    const objects = { get: async () => await Promise.resolve({ metadata: { name: "shop" }, spec: { rules } }) };
    const view = fakeView([sidecarPod("client", "default", "client")]);
    return await observeCanaryWorld({ client, objects, view } as unknown as CanarySources, canary, []);
  };
  await assert.rejects(
    worldWith(undefined),
    /^[^;]*spec\.target\.httpRoute\.canary: Service shop\/next does not exist/,
  );
  await assert.rejects(
    worldWith([8080]),
    /spec\.target\.httpRoute\.canary: Service shop\/next has no port 80; it has 8080/,
  );
  const [subject] = (await worldWith([80])).subjects;
  assert.deepEqual(subject?.canary, { namespace: "shop", service: "next", podLabels: { app: "n" } });
});

test("a host with dots that is no full name of a Service is outside the cluster, so a Canary learns nothing of another namespace's Service by it", async () => {
  const subjectOf = async (host: string) => {
    const { value: canary } = parseCanary({
      metadata: { name: "c", namespace: "shop" },
      spec: {
        target: { virtualService: { name: "web", stable: { host: "web" }, canary: { host } } },
        steps: [{ weight: 10 }],
      },
    });
    assert.ok(canary);
    const reads: string[] = [];
    const client = {
      get: async (_: unknown, name: string, namespace: string) => {
        reads.push(`${namespace}/${name}`);
        return await Promise.resolve({ metadata: { name }, spec: { selector: { app: name } } });
      },
      list: async () => await Promise.resolve({ items: [] }),
    };
    const http = [{ route: [{ destination: { host: "web" } }] }];
    const objects = { get: async () => await Promise.resolve({ metadata: { name: "web" }, spec: { http } }) };
    const sources = { client, objects, view: fakeView([]) } as unknown as CanarySources;
    const { subjects } = await observeCanaryWorld(sources, canary, []);
    return { subject: subjects[0]?.canary, reads: reads.filter((read) => read.startsWith("secret/")) };
  };
  for (const host of ["web.secret", "web.secret.svc", "a.secret.web.svc.cluster.local"]) {
    const { subject, reads } = await subjectOf(host);
    assert.deepEqual([subject?.namespace, subject?.service, reads], ["shop", host, []], host);
  }
  const { subject } = await subjectOf("web.secret.svc.cluster.local");
  assert.deepEqual(subject, { namespace: "secret", service: "web", podLabels: { app: "web" } });
});
