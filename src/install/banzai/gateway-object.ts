import { apiVersionOf, type UntypedObject } from "../../api/index.ts";
import {
  banzaiMeshGatewayKind,
  resourceSuffixOf,
  type BanzaiIstio,
  type GatewayConfiguration,
} from "../../api/banzai/index.ts";

/**
 * The MeshGateways that an Istio object requests by `gateways.ingress` and `gateways.egress`. With `createOnly`, an
 * existing MeshGateway must stay unchanged.
 */
export function renderMeshGateways(
  istio: BanzaiIstio,
): { readonly object: UntypedObject; readonly createOnly: boolean }[] {
  const { ingress, egress } = istio.spec;
  return [
    ...(ingress.enabled ? [meshGateway(istio, "ingress", ingress)] : []),
    ...(egress.enabled ? [meshGateway(istio, "egress", egress)] : []),
  ];
}

/** The names of the MeshGateways of an Istio object, including disabled ones. */
export function meshGatewayNames(istio: BanzaiIstio): readonly string[] {
  return (["ingress", "egress"] as const).map((type) => nameOf(istio, type));
}

function nameOf(istio: BanzaiIstio, type: "ingress" | "egress"): string {
  const suffix = resourceSuffixOf(istio);
  return `istio-${type}gateway${suffix === "" ? "" : `-${suffix}`}`;
}

function meshGateway(
  istio: BanzaiIstio,
  type: "ingress" | "egress",
  { raw, createOnly }: GatewayConfiguration,
): { object: UntypedObject; createOnly: boolean } {
  const { enabled: _enabled, createOnly: _createOnly, ports = [], labels, ...fields } = raw;
  const { name = "", namespace = "" } = istio.metadata;
  return {
    createOnly,
    object: {
      apiVersion: apiVersionOf(banzaiMeshGatewayKind),
      kind: banzaiMeshGatewayKind.kind,
      metadata: {
        name: nameOf(istio, type),
        namespace,
        labels: { app: `istio-${type}gateway`, istio: `${type}gateway` },
      },
      spec: {
        ...fields,
        ports,
        labels: {
          app: `istio-${type}gateway`,
          istio: `${type}gateway`,
          ...(labels as Record<string, string> | undefined),
        },
        type,
        istioControlPlane: { name, namespace },
      },
    },
  };
}
