import { anyUnpack, type Any } from "@bufbuild/protobuf/wkt";
import {
  envoyRegistry,
  UpstreamTlsContextSchema,
  type CertificateValidationContext,
  type Cluster,
  type CommonTlsContext,
  type StringMatcher,
  type TransportSocket,
  type UpstreamTlsContext,
} from "../../wire/envoy/index.ts";
import type { EndpointTransport } from "../upstream/endpoint.ts";
import { checkFields, unsupported, type ConfigNotes } from "./config-check.ts";

/** What a cluster's transport sockets come down to; a tunnel's ends are known only with the endpoint. */
export type TransportKind = Exclude<EndpointTransport, { readonly kind: "hbone" }> | { readonly kind: "internal" };

interface TransportRule {
  /** All of these must be in the endpoint's metadata; empty matches every endpoint. */
  readonly match: readonly (readonly [key: string, value: unknown])[];
  readonly transport: TransportKind;
}

/** Chooses an endpoint's transport by its metadata under `envoy.transport_socket_match`. */
export class TransportRules {
  readonly #rules: readonly TransportRule[];
  readonly #fallback: TransportKind;

  constructor(cluster: Cluster, where: string, notes: ConfigNotes) {
    this.#rules = cluster.transportSocketMatches.map((entry) => ({
      match: Object.entries(entry.match ?? {}),
      transport: compileTransport(entry.transportSocket, `${where}: transportSocketMatches ${entry.name}`, notes),
    }));
    this.#fallback = compileTransport(cluster.transportSocket, `${where}: transportSocket`, notes);
  }

  choose(metadata: Readonly<Record<string, unknown>>): TransportKind {
    for (const rule of this.#rules) if (rule.match.every(([key, value]) => metadata[key] === value)) return rule.transport;
    return this.#fallback;
  }
}

/** What an Any holds, when its type is one that this proxy knows. */
export function unpack(any: Any): ReturnType<typeof anyUnpack> {
  return anyUnpack(any, envoyRegistry());
}

function compileTransport(socket: TransportSocket | undefined, where: string, notes: ConfigNotes): TransportKind {
  if (socket === undefined || socket.configType.case === undefined) return { kind: "plain" };
  const message = unpack(socket.configType.value);
  switch (message?.$typeName) {
    case "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer":
      return { kind: "plain" };
    case "envoy.extensions.transport_sockets.internal_upstream.v3.InternalUpstreamTransport":
      return { kind: "internal" };
    case "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext":
      return compileUpstreamTls(message as UpstreamTlsContext, where, notes);
    default:
      throw unsupported(where, `the transport socket ${socket.configType.value.typeUrl}`);
  }
}

function compileUpstreamTls(message: UpstreamTlsContext, where: string, notes: ConfigNotes): TransportKind {
  checkFields(UpstreamTlsContextSchema, message, where, notes, {
    used: ["commonTlsContext", "sni"],
    harmless: ["maxSessionKeys", "allowRenegotiation", "enforceRsaKeyUsage", "autoHostSni", "autoSniSanValidation"],
  });
  const common = message.commonTlsContext;
  for (const secret of common?.tlsCertificateSdsSecretConfigs ?? []) {
    if (secret.name !== "default") throw unsupported(where, `the SDS secret ${secret.name}`);
  }
  if ((common?.tlsCertificates.length ?? 0) > 0) throw unsupported(where, "tlsCertificates");
  const validation = validationOf(common, where);
  return {
    kind: "tls",
    serverName: message.sni === "" ? undefined : message.sni,
    expectedIdentities: validation === undefined ? [] : identitiesOf(validation, where),
    alpnProtocols: common?.alpnProtocols ?? [],
    mutual: (common?.tlsCertificateSdsSecretConfigs.length ?? 0) > 0,
  };
}

function validationOf(common: CommonTlsContext | undefined, where: string): CertificateValidationContext | undefined {
  const type = common?.validationContextType;
  switch (type?.case) {
    case undefined:
      return undefined;
    case "validationContext":
      if (type.value.trustedCa !== undefined) throw unsupported(where, "validationContext.trustedCa");
      return type.value;
    case "validationContextSdsSecretConfig":
      if (type.value.name !== "ROOTCA") throw unsupported(where, `the SDS secret ${type.value.name}`);
      return undefined;
    case "combinedValidationContext": {
      const name = type.value.validationContextSdsSecretConfig?.name;
      if (name !== undefined && name !== "ROOTCA") throw unsupported(where, `the SDS secret ${name}`);
      return type.value.defaultValidationContext;
    }
    default:
      throw unsupported(where, type?.case ?? "this validation");
  }
}

function identitiesOf(validation: CertificateValidationContext, where: string): string[] {
  const matchers = [...validation.matchSubjectAltNames, ...validation.matchTypedSubjectAltNames.map((typed) => typed.matcher)];
  return matchers.filter((matcher) => matcher !== undefined).flatMap((matcher) => exactName(matcher, where));
}

function exactName(matcher: StringMatcher, where: string): string[] {
  const pattern = matcher.matchPattern;
  if (pattern.case === "exact") return [pattern.value];
  // Every identity of the trust domain: what the roots vouch for anyway.
  if (pattern.case === "prefix" && /^spiffe:\/\/[^/]+\/$/.test(pattern.value)) return [];
  throw unsupported(where, `a subject alternative name match by ${pattern.case ?? "nothing"}`);
}
