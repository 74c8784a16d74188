import assert from "node:assert/strict";
import { test } from "node:test";
import { SerinError } from "../../base/index.ts";
import { sampled, wrongFields } from "../../base/testing/index.ts";
import { createProgram } from "../program.ts";
import { FakeContext } from "../testing/fake-context.ts";

const template = {
  metadata: {
    labels: { app: "web" },
    annotations: {
      "proxy.istio.io/config": "concurrency: 2",
      "sidecar.istio.io/userVolume": "[]",
      "traffic.sidecar.istio.io/excludeInboundPorts": "80",
    },
  },
  spec: {
    serviceAccountName: "web",
    hostNetwork: false,
    securityContext: { runAsUser: 1000, sysctls: [{ name: "a", value: "b" }] },
    imagePullSecrets: [{ name: "pull" }],
    volumes: [{ name: "v", emptyDir: {} }],
    initContainers: [{ name: "init", image: "web", restartPolicy: "Always" }],
    containers: [
      {
        name: "web",
        image: "web",
        ports: [{ name: "http", containerPort: 9080, protocol: "TCP" }],
        env: [{ name: "A", value: "b" }],
        envFrom: [{ configMapRef: { name: "x" } }],
        securityContext: { runAsUser: 3, capabilities: { add: ["x"] } },
        livenessProbe: { httpGet: { path: "/x", port: "http", httpHeaders: [{ name: "a", value: "b" }] } },
        readinessProbe: { tcpSocket: { port: 80 }, timeoutSeconds: 3 },
        startupProbe: { grpc: { port: 80, service: "x" } },
        lifecycle: { preStop: { httpGet: { path: "/", port: 80 } }, postStart: { exec: { command: ["a"] } } },
        volumeMounts: [{ name: "v", mountPath: "/x" }],
        resources: { limits: { cpu: "1" } },
      },
      { name: "istio-proxy", image: "auto" },
    ],
  },
};
const objects = [
  { apiVersion: "apps/v1", kind: "Deployment", metadata: { name: "web", namespace: "shop" }, spec: { template } },
  {
    apiVersion: "v1",
    kind: "List",
    items: [
      {
        apiVersion: "v1",
        kind: "Pod",
        metadata: { name: "a", ownerReferences: [{ kind: "ReplicaSet", name: "x-1", controller: true }] },
        spec: { containers: [{ name: "x", image: "y" }] },
      },
    ],
  },
  { apiVersion: "batch/v1", kind: "CronJob", metadata: { name: "x" }, spec: { jobTemplate: { spec: { template } } } },
];

async function inject(object: unknown): Promise<string> {
  const context = new FakeContext({
    files: { "web.yaml": JSON.stringify(object), config: "policy: enabled\n", mesh: "{}\n", values: "{}" },
  });
  await createProgram(context).parseAsync(
    "kube-inject -f web.yaml --injectConfigFile config --meshConfigFile mesh --valuesFile values".split(" "),
  );
  return context.output;
}

/** Errors of JavaScript itself, which mean that the program did not check its input. */
const ownWords = /Cannot (?:read|convert|destructure|use)|is not (?:a function|iterable)/;

test("no field of a wrong type in a file of workloads ends in an internal error", async () => {
  for (const object of objects) assert.match(await inject(object), /istio-proxy/);
  for (const { title, object } of sampled(
    objects.flatMap((one) => [...wrongFields(one)]),
    350,
    1,
  ))
    await inject(object).catch((error: unknown) => {
      if (!(error instanceof SerinError && error.kind === "user") || ownWords.test(error.message))
        assert.fail(`${title}: ${error instanceof Error ? (error.stack ?? "") : String(error)}`);
    });
});

test("a label that YAML reads as a number is reported by its path", async () => {
  const labelled = { ...template, metadata: { labels: { app: "web", version: 1 } } };
  await assert.rejects(
    inject({ apiVersion: "apps/v1", kind: "Deployment", metadata: { name: "web" }, spec: { template: labelled } }),
    /Deployment web cannot be injected: spec\.template\.metadata\.labels\.version must be a string, got 1/,
  );
});
