// Objects that several cases apply.
import type { UntypedObject } from "../../src/api/index.ts";
import type { LoadPlan } from "../../samples/load-generator/load-plan.ts";

export function namespaceObject(name: string, labels: Readonly<Record<string, string>> = {}): UntypedObject {
  return { apiVersion: "v1", kind: "Namespace", metadata: { name, labels } };
}

/**
 * A LimitRange that gives a CPU request to containers without one, because in production they have one. Without a
 * request, a container gets almost no CPU time while pods with requests start on a busy node. Its clients then wait,
 * with or without a mesh.
 */
export function defaultCpuRequest(namespace: string): UntypedObject {
  const limits = [{ type: "Container", defaultRequest: { cpu: "50m" } }];
  return {
    apiVersion: "v1",
    kind: "LimitRange",
    metadata: { name: "cpu", namespace },
    spec: { limits },
  };
}

export const ambient = { "istio.io/dataplane-mode": "ambient" } as const;

export interface WorkloadWords {
  readonly name: string;
  readonly namespace: string;
  readonly image: string;
  readonly replicas?: number;
  readonly args?: readonly string[];
  readonly command?: readonly string[];
  readonly port?: number;
  readonly container?: Readonly<Record<string, unknown>>;
  readonly pod?: Readonly<Record<string, unknown>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly labels?: Readonly<Record<string, string>>;
}

/** A Deployment with one container. All names and the label are the same. */
export function deploymentObject(words: WorkloadWords): UntypedObject {
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: words.name, namespace: words.namespace },
    spec: {
      replicas: words.replicas ?? 1,
      selector: { matchLabels: { app: words.name } },
      template: podTemplate(words),
    },
  };
}

export function podTemplate({
  name,
  image,
  args,
  command,
  port,
  container,
  pod,
  annotations,
  labels,
}: WorkloadWords): object {
  return {
    metadata: { labels: { app: name, ...labels }, annotations: annotations ?? {} },
    spec: {
      terminationGracePeriodSeconds: 5,
      containers: [
        {
          name: "main",
          image,
          ...(args === undefined ? {} : { args }),
          ...(command === undefined ? {} : { command }),
          ...(port === undefined ? {} : { ports: [{ containerPort: port }] }),
          ...container,
        },
      ],
      ...pod,
    },
  };
}

export function serviceObject(
  name: string,
  namespace: string,
  port: number,
  { targetPort = port, headless = false } = {},
): UntypedObject {
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name, namespace },
    spec: {
      selector: { app: name },
      ports: [{ name: "http", port, targetPort }],
      ...(headless ? { clusterIP: "None" } : {}),
    },
  };
}

/** The image for the tests' programs. Each image of a sample has the programs of all samples. */
export const samplesImage = "ghcr.io/serin-mesh/streams:1";
const generatorCommand = ["/usr/local/bin/node", "/opt/serin/samples/load-generator/load-generator.ts"];

/** A load generator in the cluster. The run reads the directory that it writes its reports to. */
export function generatorObject(
  name: string,
  namespace: string,
  plan: LoadPlan,
  labels: Readonly<Record<string, string>> = {},
): UntypedObject {
  return deploymentObject({
    name,
    namespace,
    image: samplesImage,
    command: generatorCommand,
    args: [JSON.stringify(plan)],
    labels,
    container: {
      securityContext: { runAsUser: 0 },
      volumeMounts: [{ name: "reports", mountPath: plan.reportDirectory }],
    },
    pod: { volumes: [{ name: "reports", hostPath: { path: plan.reportDirectory } }], terminationGracePeriodSeconds: 5 },
  });
}
