import type { UntypedObject } from "../../api/index.ts";
import { componentLabels, object } from "../render-context.ts";
import type { InstallSettings } from "../settings.ts";
import { grant, read } from "./roles.ts";

/** What all revisions share: definitions of kinds, the reader's account, and the validator of objects that name no revision. */
export function renderBase(settings: InstallSettings, customResources: readonly UntypedObject[]): UntypedObject[] {
  const labels = componentLabels("Base", settings, "shared");
  const { namespace } = settings;
  const reader = { name: "istio-reader-service-account", namespace };
  return [
    ...customResources,
    object({ apiVersion: "v1", kind: "ServiceAccount", ...reader, labels: { ...labels, app: "istio-reader" } }, {}),
    ...grant({
      name: `istio-reader-clusterrole-${namespace}`,
      labels: { ...labels, app: "istio-reader" },
      serviceAccount: reader,
      rules: [
        { apiGroups: ["networking.istio.io", "security.istio.io", "telemetry.istio.io", "extensions.istio.io", "gateway.networking.k8s.io"], resources: ["*"], verbs: read },
        { apiGroups: [""], resources: ["endpoints", "pods", "services", "nodes", "replicationcontrollers", "namespaces", "secrets"], verbs: read },
        { apiGroups: ["discovery.k8s.io"], resources: ["endpointslices"], verbs: read },
      ],
    }),
  ];
}
