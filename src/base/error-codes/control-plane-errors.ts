import type { ErrorEntry } from "./error-entry.ts";

export const controlPlaneErrors = {
  "bad-mesh-config": {
    meaning: "The mesh configuration is not valid.",
    remedy: "Correct the ConfigMap or the file at the place that the message names.",
    silent: true,
  },
  "gateway-parameters": {
    meaning: "The parameters of a generated gateway cannot be used.",
    remedy: "Correct the ConfigMap of `infrastructure.parametersRef`.",
  },
  "too-much-work": {
    meaning: "The object takes too long to check.",
    remedy: "Make the object smaller.",
  },
  "workload-unregistered": {
    meaning: "A proxy refers to a WorkloadEntry or WorkloadGroup that does not exist or that it may not use.",
    remedy: "Create the object, or correct the proxy's metadata.",
  },
  "annotation-invalid": {
    meaning: "An annotation of the pod has an invalid value.",
    remedy: "Correct the annotation that the message names.",
    silent: true,
  },
  "injection-config-invalid": {
    meaning: "The injection's configuration cannot be used.",
    remedy: "Correct the ConfigMap `istio-sidecar-injector`.",
  },
  "injection-refused": {
    meaning: "A pod cannot be injected.",
    remedy: "Correct what the message names.",
    silent: true,
  },
  "template-failed": {
    meaning: "A template of an injection or a chart cannot be read or rendered.",
    remedy: "Correct the template or the values that it uses.",
  },
  "chart-values": {
    meaning: "A value of a chart has the wrong type.",
    remedy: "Correct the value that the message names.",
    silent: true,
  },
} as const satisfies Readonly<Record<string, ErrorEntry>>;
