import { defineKind } from "../kind.ts";
import type { Condition, KubernetesObject } from "../meta.ts";
import type { Parsed } from "../parsed.ts";
import { Reader } from "../reader.ts";
import { checkHostname, gatewayGroup, warnOfUnknown, type ParentReference } from "./references.ts";

export interface BackendTlsPolicy extends KubernetesObject {
  spec: BackendTlsPolicySpec;
  status?: { ancestors?: PolicyAncestorStatus[] };
}

/** The policy's result at a target, or at a Gateway whose routes send traffic to a target. */
export interface PolicyAncestorStatus {
  ancestorRef: Pick<ParentReference, "name"> & Partial<ParentReference>;
  controllerName: string;
  conditions: Condition[];
}

/**
 * The maximum number of entries in a policy's status. All controllers share the list, and a controller must not add to
 * a full one.
 */
export const maxPolicyAncestors = 16;

export interface BackendTlsPolicySpec {
  /** Targets are in the policy's namespace. `sectionName` is the name of a port. */
  targetRefs: { group: string; kind: string; name: string; sectionName?: string | undefined }[];
  validation: {
    /** The server name. The server's certificate must contain it unless subjectAltNames are set. */
    hostname: string;
    /** CA bundles in ConfigMaps (key `ca.crt`) or Secrets. If the list is empty, the system's roots apply. */
    caCertificateRefs: { group: string; kind: string; name: string }[];
    wellKnownCACertificates?: string | undefined;
    subjectAltNames: ({ type: "Hostname"; hostname: string } | { type: "URI"; uri: string })[];
  };
  options: Record<string, string>;
}

function parseBackendTlsPolicy(raw: unknown): Parsed<BackendTlsPolicy> {
  const object = new Reader(raw);
  const reader = object.object("spec") ?? object.empty("spec");
  const validation = reader.required("validation", reader.object("validation")) ?? reader.empty("validation");
  const spec: BackendTlsPolicySpec = {
    targetRefs: reader.objects("targetRefs").map(readTarget),
    validation: readValidation(validation, reader.has("validation")),
    options: { ...reader.stringMap("options") },
  };
  if (spec.targetRefs.length === 0) reader.error("must have at least one target", "targetRefs");
  warnOfUnknown(reader);
  return object.finish(() => ({ ...(raw as BackendTlsPolicy), spec }));
}

function readReference(reader: Reader): { group: string; kind: string; name: string } {
  return {
    group: reader.required("group", reader.string("group")) ?? "",
    kind: reader.required("kind", reader.string("kind")) ?? "",
    name: reader.required("name", reader.string("name")) ?? "",
  };
}

function readTarget(reader: Reader): BackendTlsPolicySpec["targetRefs"][number] {
  const target = { ...readReference(reader), sectionName: reader.string("sectionName") };
  warnOfUnknown(reader);
  return target;
}

function readValidation(reader: Reader, isThere: boolean): BackendTlsPolicySpec["validation"] {
  const hostname = reader.string("hostname") ?? "";
  const caCertificateRefs = reader.objects("caCertificateRefs").map(readReference);
  const wellKnownCACertificates = reader.string("wellKnownCACertificates");
  const subjectAltNames = reader.objects("subjectAltNames").map(readSubjectAltName);
  if (isThere) {
    if (!reader.has("hostname")) reader.required("hostname", undefined);
    else checkHostname(hostname, (message) => reader.error(message, "hostname"));
    const hasWellKnown = (wellKnownCACertificates ?? "") !== "";
    if (hasWellKnown && caCertificateRefs.length > 0)
      reader.error("cannot be combined with caCertificateRefs", "wellKnownCACertificates");
    if (!hasWellKnown && caCertificateRefs.length === 0)
      reader.error("must have caCertificateRefs, or wellKnownCACertificates: System");
  }
  warnOfUnknown(reader);
  return { hostname, caCertificateRefs, wellKnownCACertificates, subjectAltNames };
}

function readSubjectAltName(reader: Reader): BackendTlsPolicySpec["validation"]["subjectAltNames"][number] {
  const type = reader.required("type", reader.oneOf("type", ["Hostname", "URI"])) ?? "Hostname";
  const hostname = reader.string("hostname") ?? "";
  const uri = reader.string("uri") ?? "";
  if (type === "Hostname" && hostname === "") reader.error("is required when the type is Hostname", "hostname");
  if (type === "URI" && uri === "") reader.error("is required when the type is URI", "uri");
  warnOfUnknown(reader);
  return type === "Hostname" ? { type, hostname } : { type, uri };
}

export const backendTlsPolicyKind = defineKind<BackendTlsPolicy>({
  group: gatewayGroup,
  versions: ["v1", "v1alpha3"],
  kind: "BackendTLSPolicy",
  plural: "backendtlspolicies",
  namespaced: true,
  parse: parseBackendTlsPolicy,
});
