import type { Pod } from "../../../api/kubernetes/index.ts";

export interface PodOptions {
  readonly ready?: boolean;
  /** The transition time of the condition Ready. */
  readonly since?: string;
  readonly created?: string;
  readonly deleted?: boolean;
  readonly phase?: NonNullable<Pod["status"]>["phase"];
  readonly node?: string;
  /** The hash of the pod's template, in its label. */
  readonly hash?: string;
  readonly labels?: Record<string, string>;
  readonly annotations?: Record<string, string>;
  readonly ip?: string;
  readonly restarts?: number;
}

/** A running pod that has been ready since the first of January 2026, unless the options say otherwise. */
export function makePod(name: string, options: PodOptions = {}): Pod {
  const { ready = true, since = "2026-01-01T00:00:00Z", created = since, phase = "Running", hash } = options;
  return {
    metadata: {
      name,
      namespace: "default",
      uid: name,
      creationTimestamp: created,
      labels: { ...options.labels, ...(hash === undefined ? {} : { "controller-revision-hash": hash }) },
      ...(options.annotations === undefined ? {} : { annotations: options.annotations }),
      ...(options.deleted === true ? { deletionTimestamp: "2026-01-01T01:00:00Z" } : {}),
    },
    spec: {
      containers: [{ name: "app", ports: [{ name: "web", containerPort: 8080 }] }],
      ...(options.node === undefined ? {} : { nodeName: options.node }),
    },
    status: {
      phase,
      ...(options.ip === undefined ? {} : { podIP: options.ip }),
      conditions: [{ type: "Ready", status: ready ? "True" : "False", lastTransitionTime: since }],
      ...(options.restarts === undefined
        ? {}
        : { containerStatuses: [{ name: "app", ready, restartCount: options.restarts, image: "", imageID: "" }] }),
    },
  };
}

export function namesOf(objects: readonly { readonly metadata: { readonly name?: string } }[]): string[] {
  return objects.map(({ metadata }) => metadata.name ?? "");
}
