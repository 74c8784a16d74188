import type { UntypedObject } from "../../api/index.ts";
import type { ObjectReference } from "../../api/serin/index.ts";
import { reference } from "./references.ts";
import { ztunnelRevisionLabel } from "./labels.ts";

/** Where probe pods live: enrolled like any application, and nobody's application. */
export const probeNamespace = "serin-probes";
export const probePort = 9191;

export interface ProbePod {
  readonly revision: string;
  readonly role: "client" | "server";
  readonly reference: ObjectReference;
}

/** A client and a server pod for every revision: each client tries each server. */
export function probePods(revisions: readonly string[]): ProbePod[] {
  return revisions.flatMap((revision) =>
    (["server", "client"] as const).map((role) => ({ revision, role, reference: reference("v1", "Pod", `probe-${role}-${revision}`, probeNamespace) })),
  );
}

/** The namespace, the pods, and a Service before each server, so that probes take the whole way of an application's request. */
export function probeObjects(revisions: readonly string[], image: string): UntypedObject[] {
  const targets = revisions.map((revision) => `${revision}=${serverService(revision)}.${probeNamespace}.svc.cluster.local:${probePort}`).join(",");
  return [
    { apiVersion: "v1", kind: "Namespace", metadata: { name: probeNamespace, labels: { "istio.io/dataplane-mode": "ambient" } } },
    { apiVersion: "v1", kind: "ServiceAccount", metadata: { name: "probe", namespace: probeNamespace } },
    ...revisions.map((revision) => service(revision)),
    ...probePods(revisions).map((pod) => probePod(pod, targets, image)),
  ];
}

function serverService(revision: string): string {
  return `probe-${revision}`;
}

function service(revision: string): UntypedObject {
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: serverService(revision), namespace: probeNamespace },
    spec: { selector: { app: "probe-server", revision }, ports: [{ name: "tcp", port: probePort }] },
  };
}

function probePod({ revision, role, reference: { name } }: ProbePod, targets: string, image: string): UntypedObject {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace: probeNamespace, labels: { app: `probe-${role}`, revision, [ztunnelRevisionLabel]: revision } },
    spec: {
      serviceAccountName: "probe",
      automountServiceAccountToken: false,
      terminationGracePeriodSeconds: 1,
      containers: [
        {
          name: "probe",
          image,
          args: ["probe", role],
          env: [
            { name: "PROBE_REVISION", value: revision },
            { name: "PROBE_TARGETS", value: targets },
            { name: "PROBE_PORT", value: String(probePort) },
          ],
          ...(role === "server" ? { ports: [{ containerPort: probePort }], readinessProbe: { tcpSocket: { port: probePort }, periodSeconds: 1 } } : {}),
        },
      ],
    },
  };
}
