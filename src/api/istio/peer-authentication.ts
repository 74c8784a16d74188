import { defineKind } from "../kind.ts";
import type { KubernetesObject, LabelSelector } from "../meta.ts";
import type { Parsed } from "../parsed.ts";
import { Reader } from "../reader.ts";
import { readWorkloadSelector, securityGroup, warnOfUnknown } from "./policy-target.ts";

export const mutualTlsModes = ["UNSET", "DISABLE", "PERMISSIVE", "STRICT"] as const;
export type MutualTlsMode = (typeof mutualTlsModes)[number];

/** security.istio.io/v1. In the root namespace without a selector it holds for the mesh, elsewhere for its namespace. */
export interface PeerAuthentication extends KubernetesObject {
  spec: {
    selector?: LabelSelector | undefined;
    mode: MutualTlsMode;
    /** By the workload's port. */
    portLevelModes: Readonly<Record<string, MutualTlsMode>>;
  };
}

const maxPort = 65_535;

export function parsePeerAuthentication(raw: unknown): Parsed<PeerAuthentication> {
  const object = new Reader(raw);
  const spec = object.object("spec");
  const selector = spec === undefined ? undefined : readWorkloadSelector(spec);
  const mode = spec?.object("mtls")?.oneOf("mode", mutualTlsModes) ?? "UNSET";
  const ports = spec?.object("portLevelMtls");
  const portLevelModes: Record<string, MutualTlsMode> = {};
  for (const port of Object.keys((ports?.raw as object | undefined) ?? {})) {
    if (!/^\d+$/.test(port) || Number(port) < 1 || Number(port) > maxPort) ports?.error("must be a port number", port);
    portLevelModes[port] = ports?.object(port)?.oneOf("mode", mutualTlsModes) ?? "UNSET";
  }
  if (Object.keys(portLevelModes).length > 0 && Object.keys(selector?.matchLabels ?? {}).length === 0) {
    spec?.error("needs a selector: ports are a workload's", "portLevelMtls");
  }
  if (spec !== undefined) warnOfUnknown(spec);
  return object.finish(() => ({ ...(raw as PeerAuthentication), spec: { selector, mode, portLevelModes } }));
}

export const peerAuthenticationKind = defineKind<PeerAuthentication>({
  group: securityGroup,
  versions: ["v1", "v1beta1"],
  kind: "PeerAuthentication",
  plural: "peerauthentications",
  namespaced: true,
  parse: parsePeerAuthentication,
});
