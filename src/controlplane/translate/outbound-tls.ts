import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { ClientTls } from "../../api/istio/index.ts";
import {
  Cluster_DiscoveryType,
  Cluster_TransportSocketMatchSchema,
  HttpProtocolOptionsSchema,
  SubjectAltNameMatcher_SanType,
  TlsParameters_TlsProtocol,
  TransportSocketSchema,
  UpstreamTlsContextSchema,
  type Cluster_TransportSocketMatch,
  type CommonTlsContextSchema,
} from "../../wire/envoy/index.ts";
import type { MeshSettings } from "../model/facts.ts";
import { namesConfigMap } from "../model/config-map-facts.ts";
import { authoritySuffix, credentialResource } from "../model/secret-facts.ts";
import { internalUpstream, mutualTls, rawBuffer } from "./cluster.ts";
import { isHttp2, type ClusterDraft } from "./cluster-draft.ts";
import { secretOverAds, fileOverAgentSds, packed } from "./envoy-any.ts";
import { tlsParameters } from "./tls-compliance.ts";
import { type TransportSocketInit, validatedBy } from "./tls-context.ts";
import { typeOf } from "./traffic-policy.ts";

export interface TlsTarget {
  /** The form `outbound_.80_.v1_.host` tells the peer which of its services the client calls. */
  readonly sni: string;
  readonly identities: readonly string[];
  readonly meshExternal: boolean;
  readonly isEntry: boolean;
  /** Its `tlsDefaults` are for TLS other than Istio's mutual TLS. */
  readonly mesh: MeshSettings;
  /** Whether endpoints that accept Istio's mutual TLS get it without a policy. */
  readonly automatic: boolean;
  readonly hbone: boolean;
  /** Whether the proxy may read secrets. Gateways may, and sidecars whose rule selects them by labels. */
  readonly mayReadSecrets: boolean;
}

/**
 * Sets the TLS of a cluster. With HBONE or automatic mutual TLS, each endpoint selects its transport socket by its
 * metadata. Without both, one socket applies to all endpoints.
 */
export function applyTls(draft: ClusterDraft, tls: ClientTls | undefined, target: TlsTarget): void {
  const { cluster } = draft;
  const original = typeOf(cluster) === Cluster_DiscoveryType.ORIGINAL_DST;
  const automatic = tls === undefined && target.automatic && !target.meshExternal;
  const socket = automatic
    ? mutualTls(target.mesh, target.sni, target.identities, isHttp2(draft))
    : tls === undefined
      ? undefined
      : policySocket(draft, tls, target);
  if (automatic && !original) {
    cluster.transportSocketMatches = matches([
      ...(target.hbone ? [hbone(rawBuffer)] : []),
      { name: "tlsMode-istio", match: { tlsMode: "istio" }, transportSocket: socket },
      plaintext,
    ]);
    return;
  }
  if (!target.hbone || original) {
    if (socket !== undefined) cluster.transportSocket = create(TransportSocketSchema, socket);
    return;
  }
  if (socket === undefined) cluster.transportSocketMatches = matches([hbone(rawBuffer), plaintext]);
  // HBONE replaces Istio's mutual TLS for tunnelled endpoints. Other TLS is meant for the application, so it also runs
  // inside the tunnel.
  else if (tls?.mode === "ISTIO_MUTUAL")
    cluster.transportSocketMatches = matches([hbone(rawBuffer), { name: "tlsMode-istio", transportSocket: socket }]);
  else cluster.transportSocketMatches = matches([hbone(socket), { name: "user", transportSocket: socket }]);
}

type MatchInit = MessageInitShape<typeof Cluster_TransportSocketMatchSchema>;

const plaintext: MatchInit = { name: "tlsMode-disabled", match: {}, transportSocket: rawBuffer };

function hbone(inner: TransportSocketInit): MatchInit {
  return { name: "hbone", match: { tunnel: "http" }, transportSocket: internalUpstream(inner) };
}

function matches(inits: readonly MatchInit[]): Cluster_TransportSocketMatch[] {
  return inits.map((init) => create(Cluster_TransportSocketMatchSchema, init));
}

function policySocket(draft: ClusterDraft, tls: ClientTls, target: TlsTarget): TransportSocketInit | undefined {
  switch (tls.mode) {
    case "DISABLE":
      return undefined;
    case "ISTIO_MUTUAL":
      return mutualTls(
        target.mesh,
        tls.sni ?? target.sni,
        tls.subjectAltNames.length === 0 ? target.identities : tls.subjectAltNames,
        isHttp2(draft),
      );
    default:
      if (tls.credentialName !== undefined && !target.mayReadSecrets && !namesConfigMap(tls.credentialName))
        return undefined;
      return originatedTls(draft, tls, target);
  }
}

/**
 * TLS that the application's server terminates. If no server name is configured, the request's host is sent and
 * verified.
 */
function originatedTls(draft: ClusterDraft, tls: ClientTls, target: TlsTarget): TransportSocketInit | undefined {
  if (
    tls.mode === "MUTUAL" &&
    tls.credentialName === undefined &&
    (tls.clientCertificate === undefined || tls.privateKey === undefined)
  )
    return undefined;
  const checked = tls.insecureSkipVerify !== true;
  const names = target.isEntry && tls.subjectAltNames.length === 0 ? target.identities : tls.subjectAltNames;
  if (tls.sni === undefined) {
    draft.http.upstreamHttpProtocolOptions = create(HttpProtocolOptionsSchema, {
      upstreamHttpProtocolOptions: { autoSni: true, autoSanValidation: checked && tls.subjectAltNames.length === 0 },
    }).upstreamHttpProtocolOptions!;
  }
  return {
    name: "envoy.transport_sockets.tls",
    configType: {
      case: "typedConfig",
      value: packed(UpstreamTlsContextSchema, {
        sni: tls.sni ?? "",
        commonTlsContext: {
          ...tlsParameters(target.mesh, {
            tlsMinimumProtocolVersion: TlsParameters_TlsProtocol.TLSv1_2,
            tlsMaximumProtocolVersion: TlsParameters_TlsProtocol.TLSv1_3,
            cipherSuites: [...target.mesh.tlsDefaults.cipherSuites],
            ecdhCurves: [...target.mesh.tlsDefaults.ecdhCurves],
          }),
          alpnProtocols: isHttp2(draft) ? ["h2"] : [],
          ...certificates(tls),
          ...validation(tls, checked, names),
        },
      }),
    },
  };
}

type CommonTlsInit = Exclude<MessageInitShape<typeof CommonTlsContextSchema>, { $typeName: string }>;

function certificates(tls: ClientTls): CommonTlsInit {
  if (tls.mode !== "MUTUAL") return {};
  if (tls.credentialName !== undefined)
    return {
      tlsCertificateSdsSecretConfigs: [{ name: credentialResource(tls.credentialName), sdsConfig: secretOverAds }],
    };
  return {
    tlsCertificateSdsSecretConfigs: [
      { name: `file-cert:${tls.clientCertificate ?? ""}~${tls.privateKey ?? ""}`, sdsConfig: fileOverAgentSds },
    ],
  };
}

function validation(tls: ClientTls, checked: boolean, names: readonly string[]): CommonTlsInit {
  if (!checked) return { validationContextType: { case: "validationContext", value: {} } };
  const root =
    tls.credentialName === undefined
      ? { name: `file-root:${tls.caCertificates ?? "system"}`, sdsConfig: fileOverAgentSds }
      : { name: `${credentialResource(tls.credentialName)}${authoritySuffix}`, sdsConfig: secretOverAds };
  return validatedBy(root, {
    matchTypedSubjectAltNames: names.flatMap((exact) =>
      sanTypes(exact).map((sanType) => ({
        sanType,
        matcher: { matchPattern: { case: "exact" as const, value: exact } },
      })),
    ),
    ...(tls.caCrl === undefined ? {} : { crl: { specifier: { case: "filename" as const, value: tls.caCrl } } }),
  });
}

/**
 * The types of subject alternative names in which a configured name may appear: URI if it is one, or else DNS name and
 * IP address.
 */
function sanTypes(name: string): readonly SubjectAltNameMatcher_SanType[] {
  return name.includes("://")
    ? [SubjectAltNameMatcher_SanType.URI]
    : [SubjectAltNameMatcher_SanType.DNS, SubjectAltNameMatcher_SanType.IP_ADDRESS];
}
