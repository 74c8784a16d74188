import type { UntypedObject } from "../../api/index.ts";
import { istioLabels } from "../../api/istio/index.ts";
import { componentLabels, object, revisionLabel } from "../render-context.ts";
import type { InstallSettings } from "../settings.ts";

export const pilotPorts = [
  { name: "grpc-xds", port: 15_010, protocol: "TCP" },
  { name: "https-dns", port: 15_012, protocol: "TCP" },
  { name: "https-webhook", port: 443, targetPort: 15_017, protocol: "TCP" },
  { name: "http-monitoring", port: 15_014, protocol: "TCP" },
] as const;

/** A tag's Service. It selects the istiod pods of the tag's revision. */
export function revisionTagService(tag: string, settings: InstallSettings): UntypedObject {
  const labels = {
    ...componentLabels("Pilot", settings, "revision"),
    app: "istiod",
    istio: "pilot",
    [istioLabels.tag]: tag,
  };
  return object(
    { apiVersion: "v1", kind: "Service", name: `istiod-revision-tag-${tag}`, namespace: settings.namespace, labels },
    { spec: { ports: pilotPorts, selector: { app: "istiod", [istioLabels.revision]: revisionLabel(settings) } } },
  );
}
