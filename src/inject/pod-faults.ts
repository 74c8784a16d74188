import { fieldTypes, withFieldTypes, type FieldFault } from "../base/field-types/index.ts";

// The types of the pod fields that injection reads. The API server checks the types before it calls the webhook. A pod
// from a file has not been checked.

const { list, number, numberOrText, object, flag, record, required, text, textMap, texts } = fieldTypes;

const header = list({ name: text, value: text });
const handler = {
  httpGet: object({ path: text, port: numberOrText, host: text, scheme: text, httpHeaders: header }),
  tcpSocket: object({ port: numberOrText, host: text }),
  grpc: object({ port: number, service: text }),
  exec: object({ command: texts }),
};
const probe = object({ ...handler, timeoutSeconds: number });
const security = { runAsUser: number, runAsGroup: number };
const containers = list({
  name: text,
  image: text,
  command: texts,
  args: texts,
  ports: list({ name: text, containerPort: number, protocol: text }),
  env: list({ name: text, value: text, valueFrom: record }),
  envFrom: list({}),
  resources: record,
  volumeMounts: list({ name: text, mountPath: text }),
  livenessProbe: probe,
  readinessProbe: probe,
  startupProbe: probe,
  lifecycle: object({ postStart: object(handler), preStop: object(handler) }),
  securityContext: object(security),
  restartPolicy: text,
});
const named = list({ name: text });

const podFields = {
  metadata: object({
    name: text,
    generateName: text,
    namespace: text,
    labels: textMap,
    annotations: textMap,
    ownerReferences: list({
      apiVersion: text,
      kind: required(text),
      name: required(text),
      controller: flag,
    }),
  }),
  spec: object({
    containers,
    initContainers: containers,
    volumes: named,
    imagePullSecrets: named,
    hostNetwork: flag,
    serviceAccountName: text,
    dnsPolicy: text,
    securityContext: object({ ...security, fsGroup: number, sysctls: header }),
  }),
};

/** Returns the fields of a pod or pod template whose types the API server would refuse. */
export function podFaults(pod: object): readonly FieldFault[] {
  return withFieldTypes(pod, podFields).faults;
}
