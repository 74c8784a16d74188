import { defineKind } from "../../kind.ts";
import type { KubernetesObject, LabelSelector } from "../../meta.ts";
import type { Parsed } from "../../parsed.ts";
import type { Reader } from "../../reader.ts";
import { maxPort, openObject, readObjects, refuseDryRun, refuseUnknown } from "../fields.ts";
import { readWorkloadSelector, securityGroup } from "../policy-target.ts";

const mutualTlsModes = ["UNSET", "DISABLE", "PERMISSIVE", "STRICT"] as const;
export type MutualTlsMode = (typeof mutualTlsModes)[number];

/**
 * security.istio.io PeerAuthentication. Without a selector, it applies to its namespace, or to the whole mesh if that
 * is the root namespace.
 */
export interface PeerAuthentication extends KubernetesObject {
  spec: {
    selector?: LabelSelector | undefined;
    mode: MutualTlsMode;
    /** Keyed by the workload's port number. */
    portLevelModes: Readonly<Record<string, MutualTlsMode>>;
  };
}

export function parsePeerAuthentication(raw: unknown): Parsed<PeerAuthentication> {
  const opened = openObject(raw);
  const { object, spec: reader } = opened;
  refuseDryRun(opened);
  const selector = readWorkloadSelector(reader);
  const mode = readMode(reader.object("mtls"));
  const portLevelModes = readObjects(reader, "portLevelMtls", (entry) => readMode(entry));
  const ports = Object.keys(portLevelModes);
  for (const port of ports)
    if (!/^\d{1,5}$/.test(port) || Number(port) < 1 || Number(port) > maxPort)
      reader.error(`must be a port number, got "${port}"`, `portLevelMtls.${port}`);
  if (reader.has("portLevelMtls") && ports.length === 0)
    reader.error("must have at least one port; remove the field for none", "portLevelMtls");
  if (ports.length > 0 && Object.keys(selector?.matchLabels ?? {}).length === 0)
    reader.error("needs a selector: ports belong to workloads", "portLevelMtls");
  refuseUnknown(reader);
  return object.finish(() => ({ ...(raw as PeerAuthentication), spec: { selector, mode, portLevelModes } }));
}

function readMode(reader: Reader | undefined): MutualTlsMode {
  const mode = reader?.oneOf("mode", mutualTlsModes) ?? "UNSET";
  refuseUnknown(reader);
  return mode;
}

export const peerAuthenticationKind = defineKind<PeerAuthentication>({
  group: securityGroup,
  versions: ["v1", "v1beta1"],
  kind: "PeerAuthentication",
  plural: "peerauthentications",
  namespaced: true,
  parse: parsePeerAuthentication,
});
