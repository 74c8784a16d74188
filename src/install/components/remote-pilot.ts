import { textAt } from "../../base/index.ts";
import { serviceNameLabel, type UntypedObject } from "../../api/index.ts";
import { object, revisioned } from "../render-context.ts";
import { type InstallSettings } from "../settings.ts";

const ports = [
  { name: "tcp-istiod", port: 15_012, protocol: "TCP" },
  { name: "tcp-webhook", port: 443, targetPort: 15_017, protocol: "TCP" },
] as const;

/**
 * The Service of a control plane in another cluster. It has the name of a local control plane's Service, and leads to
 * `values.global.remotePilotAddress`, which is an IP address or a host name.
 */
export function remoteService(settings: InstallSettings, labels: Record<string, string>): UntypedObject[] {
  const address = textAt(settings.values, "global", "remotePilotAddress");
  if (address === undefined) return [];
  const { namespace } = settings;
  const name = revisioned("istiod", settings);
  const identity = { name, namespace, labels: { ...labels, app: "istiod" } };
  if (!/^[\d.]+$|:/.test(address))
    return [
      object(
        { apiVersion: "v1", kind: "Service", ...identity },
        { spec: { type: "ExternalName", externalName: address, ports } },
      ),
    ];
  return [
    object({ apiVersion: "v1", kind: "Service", ...identity }, { spec: { clusterIP: "None", ports } }),
    object(
      {
        apiVersion: "discovery.k8s.io/v1",
        kind: "EndpointSlice",
        ...identity,
        labels: { ...identity.labels, [serviceNameLabel]: name },
      },
      {
        addressType: address.includes(":") ? "IPv6" : "IPv4",
        endpoints: [{ addresses: [address] }],
        ports: [
          { name: "tcp-istiod", port: 15_012, protocol: "TCP" },
          { name: "tcp-webhook", port: 15_017, protocol: "TCP" },
        ],
      },
    ),
  ];
}
