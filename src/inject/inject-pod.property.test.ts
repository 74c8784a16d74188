import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import type { Pod } from "../api/kubernetes/index.ts";
import { SerinError } from "../base/index.ts";
import { injectPod, readInjectionSettings, readMeshForInjection, type JsonPatchOperation } from "./index.ts";

const name = fc.constantFrom("app", "other", "istio-proxy", "istio-init", "db");
const port = fc.oneof(fc.integer({ min: 1, max: 65_535 }), fc.constantFrom("http", "none"));
const probe = fc.oneof(
  fc.record({ httpGet: fc.record({ path: fc.constant("/x"), port }) }),
  fc.record({ tcpSocket: fc.record({ port }) }),
  fc.record({ grpc: fc.record({ port: fc.integer({ min: 1, max: 65_535 }) }) }),
  fc.record({ exec: fc.record({ command: fc.constant(["true"]) }) }),
);
const container = fc.record(
  {
    name,
    image: fc.constantFrom("auto", "app:1"),
    ports: fc.constant([{ name: "http", containerPort: 8080 }]),
    env: fc.constant([
      { name: "A", value: "b" },
      { name: "POD_NAME", value: "mine" },
    ]),
    readinessProbe: probe,
    livenessProbe: probe,
    securityContext: fc.record({ runAsUser: fc.integer({ min: 0, max: 2000 }) }),
    volumeMounts: fc.constant([{ name: "v", mountPath: "/v" }]),
  },
  { requiredKeys: ["name"] },
);
const containers = fc.uniqueArray(container, { minLength: 1, maxLength: 4, selector: (one) => one.name });
const annotations = fc.dictionary(
  fc.constantFrom(
    "inject.istio.io/templates",
    "sidecar.istio.io/interceptionMode",
    "proxy.istio.io/config",
    "sidecar.istio.io/nativeSidecar",
    "prometheus.io/port",
    "prometheus.io/scrape",
    "status.sidecar.istio.io/port",
    "sidecar.istio.io/proxyCPU",
    "note",
  ),
  fc.constantFrom(
    "gateway",
    "sidecar",
    "NONE",
    "true",
    "false",
    "9090",
    "15020",
    "holdApplicationUntilProxyStarts: true",
    "1",
  ),
  { maxKeys: 3 },
);
const pods: fc.Arbitrary<Pod> = fc.record({
  metadata: fc.record({
    name: fc.constant("web"),
    labels: fc.dictionary(fc.constantFrom("app", "version", "topology.istio.io/network"), fc.constantFrom("web", "v1")),
    annotations,
  }),
  spec: fc.record({
    containers,
    initContainers: fc.uniqueArray(container, { maxLength: 2, selector: (one) => one.name }),
    volumes: fc.constantFrom([], [{ name: "v", emptyDir: {} }]),
  }),
}) as unknown as fc.Arbitrary<Pod>;

const settings = readInjectionSettings(
  {},
  { hub: "hub", tag: "1", istioNamespace: "istio-system", revision: "default", clusterName: "Kubernetes", network: "" },
);

function inject(pod: Pod, nativeSidecars: boolean): ReturnType<typeof injectPod> | undefined {
  try {
    return injectPod(
      { pod, namespace: "demo", namespaceLabels: {} },
      { settings, mesh: readMeshForInjection({}), revision: "default", nativeSidecars, proxyConfigs: [] },
    );
  } catch (error) {
    assert.ok(error instanceof SerinError && error.kind === "user", String(error));
    return undefined;
  }
}

function patched(pod: unknown, operations: readonly JsonPatchOperation[]): unknown {
  const copy: unknown = JSON.parse(JSON.stringify(pod));
  for (const operation of operations) {
    const words = operation.path
      .split("/")
      .slice(1)
      .map((word) => word.replaceAll("~1", "/").replaceAll("~0", "~"));
    const parent = words.slice(0, -1).reduce<unknown>((value, word) => (value as Record<string, unknown>)[word], copy);
    const last = words.at(-1) ?? "";
    if (Array.isArray(parent) && operation.op !== "replace")
      parent.splice(
        Number(last),
        operation.op === "remove" ? 1 : 0,
        ...(operation.op === "add" ? [operation.value] : []),
      );
    else if (operation.op === "remove") Reflect.deleteProperty(parent as object, last);
    else Reflect.set(parent as object, last, operation.value);
  }
  return copy;
}

test("the patch gives the injected pod, a second injection changes nothing, and the user's containers stay", () => {
  fc.assert(
    fc.property(pods, fc.boolean(), (made, native) => {
      // The API server refuses a pod in which a container and an init container have the same name.
      const pod = {
        ...made,
        spec: {
          ...made.spec,
          containers: made.spec?.containers ?? [],
          initContainers: (made.spec?.initContainers ?? []).filter(
            (one) => made.spec?.containers.every((other) => other.name !== one.name) === true,
          ),
        },
      };
      const outcome = inject(pod, native);
      if (outcome?.kind !== "injected") return;
      assert.deepEqual(
        JSON.parse(JSON.stringify(patched(pod, outcome.patch))),
        JSON.parse(JSON.stringify(outcome.pod)),
      );
      const again = inject(outcome.pod, native);
      assert.ok(again?.kind === "injected");
      // If the pod contains containers of the template, a second injection may still change their order. Then check a
      // third one.
      const isOwn = ({ name: one }: { name: string }): boolean => one === "istio-proxy" || one === "istio-init";
      const changesTemplate = [...pod.spec.containers, ...pod.spec.initContainers].some(isOwn);
      const last = changesTemplate ? inject(again.pod, native) : again;
      assert.ok(last?.kind === "injected");
      assert.deepEqual(last.patch, []);
      const names = [...(outcome.pod.spec?.containers ?? []), ...(outcome.pod.spec?.initContainers ?? [])].map(
        (one) => one.name,
      );
      for (const one of pod.spec?.containers ?? []) assert.ok(names.includes(one.name), one.name);
      assert.equal(
        names.filter((one) => one === "istio-proxy").length,
        new Set(names.filter((one) => one === "istio-proxy")).size,
        "there is one proxy",
      );
    }),
    { numRuns: 300 },
  );
});
