import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import type { Pod } from "../api/kubernetes/index.ts";
import { SerinError } from "../base/index.ts";
import { suspicion } from "../base/testing/index.ts";
import { injectPod, readInjectionSettings, readMeshForInjection } from "./index.ts";

function injectedBy(revision: string, tag: string, pod: Pod): Pod {
  const settings = readInjectionSettings(
    {},
    { hub: "hub", tag, istioNamespace: "istio-system", revision, clusterName: "Kubernetes", network: "" },
  );
  const context = {
    settings,
    mesh: readMeshForInjection({ enablePrometheusMerge: true }),
    revision,
    nativeSidecars: true,
    proxyConfigs: [],
  };
  const outcome = injectPod({ pod, namespace: "demo", namespaceLabels: {} }, context);
  assert.ok(outcome.kind === "injected", JSON.stringify(outcome));
  return outcome.pod;
}

const web: Pod = {
  metadata: {
    name: "web",
    labels: { app: "web" },
    annotations: { "prometheus.io/port": "9090", "prometheus.io/path": "/own", "prometheus.io/scrape": "true" },
  },
  spec: {
    containers: [
      {
        name: "web",
        image: "web:1",
        readinessProbe: { httpGet: { path: "/ready", port: 8080 }, timeoutSeconds: 3 },
        livenessProbe: { tcpSocket: { port: 8080 } },
        startupProbe: { grpc: { port: 8081 } },
        lifecycle: { preStop: { httpGet: { path: "/leave", port: 8080 } } },
      },
    ],
    volumes: [{ name: "own", emptyDir: {} }],
  },
};

test("a pod that another revision injected gets this revision's sidecar, and the same probes and metrics as without the other", () => {
  const again = injectedBy("new", "2", injectedBy("old", "1", web));
  assert.deepEqual(again, injectedBy("new", "2", web));
  const proxy = again.spec?.initContainers?.find(({ name }) => name === "istio-proxy");
  assert.equal(proxy?.image, "hub/proxyv2:2");
  assert.equal(again.metadata.annotations?.["istio.io/rev"], "new");
});

test("a user's changes to the sidecar stay when another revision injects", () => {
  const own: Pod = {
    ...web,
    spec: {
      containers: [
        ...(web.spec?.containers ?? []),
        { name: "istio-proxy", image: "auto", resources: { limits: { cpu: "3" } } },
      ],
    },
  };
  const proxy = injectedBy("new", "2", injectedBy("old", "1", own)).spec?.initContainers?.find(
    ({ name }) => name === "istio-proxy",
  );
  assert.equal(proxy?.image, "hub/proxyv2:2");
  assert.equal(proxy?.resources?.limits?.["cpu"], "3");
});

test("forged annotations of an earlier injection cannot add a container, and unreadable ones are ignored", () => {
  const first = injectedBy("old", "1", web);
  const withAnnotation = (name: string, value: string): Pod => ({
    ...first,
    metadata: { ...first.metadata, annotations: { ...first.metadata.annotations, [name]: value } },
  });
  const smuggled = injectedBy(
    "new",
    "2",
    withAnnotation("proxy.istio.io/overrides", JSON.stringify({ containers: [{ name: "more", image: "evil" }] })),
  );
  assert.deepEqual(
    smuggled.spec?.containers.map(({ name }) => name),
    ["web"],
  );
  for (const status of ["", "[]", "null", "{", '{"containers":1,"volumes":"x"}']) {
    const { containers, initContainers = [] } = injectedBy(
      "new",
      "2",
      withAnnotation("sidecar.istio.io/status", status),
    ).spec ?? { containers: [] };
    const names = [...containers, ...initContainers].map(({ name }) => name);
    assert.equal(names.filter((name) => name === "istio-proxy").length, 1, status);
    assert.ok(names.includes("web"));
  }
});

test("a record of an earlier injection with any JSON in it is applied or ignored, or the error is the user's", () => {
  const names = fc.constantFrom(
    "name",
    "containers",
    "istio-proxy",
    "web",
    "httpGet",
    "port",
    "path",
    "targets",
    "env",
  );
  const json = fc.letrec((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      fc.constantFrom(null, 0, "", "istio-proxy", "web", true),
      fc.array(tie("value"), { maxLength: 3 }),
      fc.dictionary(names, tie("value"), { maxKeys: 3 }),
    ),
  })).value;
  const lists = fc.oneof(json, fc.record({ containers: fc.array(json), initContainers: fc.array(json) }));
  const probers = fc.oneof(json, fc.dictionary(fc.constant("/app-health/web/readyz"), json));
  const metrics = fc.oneof(json, fc.record({ targets: fc.array(json) }));
  const added = JSON.stringify({ containers: ["istio-proxy", "web"], initContainers: ["istio-proxy"] });
  fc.assert(
    fc.property(
      fc.oneof(
        fc.constant(added),
        json.map((one) => JSON.stringify(one)),
      ),
      lists,
      probers,
      metrics,
      (status, overrides, probes, application) => {
        const env = [
          { name: "ISTIO_KUBE_APP_PROBERS", value: JSON.stringify(probes) },
          { name: "ISTIO_PROMETHEUS_ANNOTATIONS", value: JSON.stringify(application) },
        ];
        const pod: Pod = {
          metadata: {
            name: "web",
            annotations: {
              "sidecar.istio.io/status": status,
              "proxy.istio.io/overrides": JSON.stringify(overrides),
              "prometheus.io/path": "/stats/prometheus",
            },
          },
          spec: {
            containers: [
              { name: "istio-proxy", image: "proxy:1", env },
              {
                name: "web",
                image: "web:1",
                readinessProbe: { httpGet: { path: "/app-health/web/readyz", port: 15_020 } },
              },
            ],
            initContainers: [],
          },
        };
        try {
          injectedBy("new", "2", pod);
        } catch (error) {
          assert.ok(error instanceof SerinError && error.kind === "user", String(error));
        }
      },
    ),
  );
  const nothing = { containers: [null], initContainers: [null] };
  const record = (annotations: Record<string, string>, value: string): Pod => ({
    metadata: { name: "web", annotations: { "sidecar.istio.io/status": added, ...annotations } },
    spec: { containers: [{ name: "istio-proxy", env: [{ name: "ISTIO_PROMETHEUS_ANNOTATIONS", value }] }] },
  });
  injectedBy("new", "2", record({ "proxy.istio.io/overrides": JSON.stringify(nothing) }, "{}"));
  injectedBy("new", "2", record({ "prometheus.io/path": "/stats/prometheus" }, '{"targets":[null]}'));
});

test("a forged record of an earlier injection takes no more than linear time", () => {
  const numbered = (size: number): { name: string }[] =>
    Array.from({ length: size }, (_, index) => ({ name: `n${index}` }));
  const otherNames = (size: number): string[] => Array.from({ length: size }, (_, index) => `o${index}`);
  const pod = (spec: object, annotations: Readonly<Record<string, unknown>>): Pod => ({
    metadata: {
      name: "web",
      annotations: Object.fromEntries(
        Object.entries(annotations).map(([name, value]) => [name, JSON.stringify(value)]),
      ),
    },
    spec: { containers: [{ name: "web", image: "web:1" }], ...spec },
  });
  const status = "sidecar.istio.io/status";
  const path = "/app-health/web/readyz";
  const growths: Readonly<Record<string, (size: number) => Pod>> = {
    "names of volumes": (size) => pod({ volumes: numbered(size) }, { [status]: { volumes: otherNames(size) } }),
    "names of containers": (size) =>
      pod({ containers: numbered(size) }, { [status]: { containers: otherNames(size), initContainers: [] } }),
    "a user's changes": (size) =>
      pod(
        {},
        { [status]: { containers: otherNames(size) }, "proxy.istio.io/overrides": { containers: numbered(size) } },
      ),
    "copies of a probe": (size) => {
      const httpGet = Object.fromEntries(otherNames(size).map((name) => [name, 1]));
      const value = JSON.stringify({ [path]: { httpGet: { ...httpGet, port: 80 } } });
      const probed = { name: "web", readinessProbe: { httpGet: { path, port: 15_020 } } };
      return pod(
        {
          containers: [
            { name: "istio-proxy", env: [{ name: "ISTIO_KUBE_APP_PROBERS", value }] },
            ...Array.from({ length: size }, () => probed),
          ],
        },
        { [status]: {} },
      );
    },
  };
  const found = Object.entries(growths).flatMap(([name, make]) => {
    const size = name === "copies of a probe" ? 2000 : 16_000;
    const times = suspicion((made) => injectedBy("new", "2", made), make, size);
    return times === undefined ? [] : [`${name}, ${times}`];
  });
  assert.deepEqual(found, []);
});
