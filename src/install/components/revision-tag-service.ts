import type { UntypedObject } from "../../api/index.ts";
import { componentLabels, object, revisionLabel } from "../render-context.ts";
import type { InstallSettings } from "../settings.ts";

/** The port names and numbers are istiod's. */
export const pilotPorts = [
  { name: "grpc-xds", port: 15_010, protocol: "TCP" },
  { name: "https-dns", port: 15_012, protocol: "TCP" },
  { name: "https-webhook", port: 443, targetPort: 15_017, protocol: "TCP" },
  { name: "http-monitoring", port: 15_014, protocol: "TCP" },
] as const;

/** A tag as an address: a Service that leads to the pilots of the revision that the tag names. */
export function revisionTagService(tag: string, settings: InstallSettings): UntypedObject {
  const labels = {
    ...componentLabels("Pilot", settings, "revision"),
    app: "istiod",
    istio: "pilot",
    "istio.io/tag": tag,
  };
  return object(
    { apiVersion: "v1", kind: "Service", name: `istiod-revision-tag-${tag}`, namespace: settings.namespace, labels },
    { spec: { ports: pilotPorts, selector: { app: "istiod", "istio.io/rev": revisionLabel(settings) } } },
  );
}
