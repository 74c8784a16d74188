import type { MessageInitShape } from "@bufbuild/protobuf";
import type {
  ExtensionProvider,
  GrpcAuthorizationProvider,
  HttpAuthorizationProvider,
} from "../../../api/istio/index.ts";
import type { ProviderCluster } from "../../model/provider-cluster.ts";
import { ApiVersion, ExtAuthzSchema, HttpStatusCode, NetworkExtAuthzSchema } from "../../../wire/envoy/index.ts";
import { durationOfMs } from "../envoy-any.ts";
import { filterInit, type FilterInit } from "../filter-init.ts";
import { metadataMatcher, patternMatcher, startingWith, textValue } from "./security-matcher.ts";

type Provider = Extract<ExtensionProvider, { readonly kind: "authorization-http" | "authorization-grpc" }>;
type GrpcProvider = Extract<ExtensionProvider, { readonly kind: "authorization-grpc" }>;
type ExtAuthzInit = Exclude<MessageInitShape<typeof ExtAuthzSchema>, { $typeName: string }>;

const policyIdKey = "istio_ext_authz_shadow_effective_policy_id";

/** The filter that asks a provider about the requests that a shadow rule with this statistics prefix matched. */
export function externalAuthorization(provider: Provider, target: ProviderCluster, policyPrefix: string): FilterInit {
  const { settings } = provider;
  return filterInit("envoy.filters.http.ext_authz", ExtAuthzSchema, {
    services:
      provider.kind === "authorization-grpc"
        ? { case: "grpcService", value: grpcService(provider.settings, target) }
        : { case: "httpService", value: httpService(provider.settings, target) },
    transportApiVersion: ApiVersion.V3,
    failureModeAllow: settings.failOpen,
    clearRouteCache: settings.clearRouteCache,
    ...(settings.statusOnError === undefined ? {} : { statusOnError: { code: statusOf(settings.statusOnError) } }),
    ...(settings.requestBody === undefined
      ? {}
      : {
          withRequestBody: {
            maxRequestBytes: settings.requestBody.maxBytes,
            allowPartialMessage: settings.requestBody.allowPartial,
            packAsBytes: settings.requestBody.packAsBytes,
          },
        }),
    ...(provider.kind === "authorization-grpc"
      ? { includePeerCertificate: provider.settings.includePeerCertificate }
      : allowedRequestHeaders(provider.settings)),
    filterEnabledMetadata: onlyWhatMatched("envoy.filters.http.rbac", policyPrefix),
  });
}

/** The status that Envoy sends to the client. A code that Envoy does not know becomes 403, Envoy's default. */
function statusOf(code: number): HttpStatusCode {
  return (
    Object.values(HttpStatusCode).find((known): known is HttpStatusCode => Number(known) === code) ??
    HttpStatusCode.Forbidden
  );
}

export function networkExternalAuthorization(
  { settings }: GrpcProvider,
  target: ProviderCluster,
  policyPrefix: string,
): FilterInit {
  return filterInit("envoy.filters.network.ext_authz", NetworkExtAuthzSchema, {
    statPrefix: "tcp.",
    failureModeAllow: settings.failOpen,
    transportApiVersion: ApiVersion.V3,
    grpcService: grpcService(settings, target),
    filterEnabledMetadata: onlyWhatMatched("envoy.filters.network.rbac", policyPrefix),
  });
}

function onlyWhatMatched(filter: string, policyPrefix: string): ReturnType<typeof metadataMatcher> {
  return metadataMatcher(filter, [policyIdKey], textValue(startingWith(policyPrefix)));
}

/**
 * The gRPC service of a provider. Its authority is the service's host, because a cluster name has characters that are
 * invalid in an authority.
 */
function grpcService(settings: GrpcAuthorizationProvider, { host, cluster }: ProviderCluster) {
  return {
    targetSpecifier: { case: "envoyGrpc" as const, value: { clusterName: cluster, authority: host } },
    timeout: durationOfMs(settings.timeoutMs),
  };
}

function httpService(settings: HttpAuthorizationProvider, { host, cluster }: ProviderCluster) {
  const additional = Object.entries(settings.includeAdditionalHeadersInCheck).map(([key, value]) => ({ key, value }));
  const {
    headersToUpstreamOnAllow: upstream,
    headersToDownstreamOnDeny: denied,
    headersToDownstreamOnAllow: allowed,
  } = settings;
  return {
    pathPrefix: settings.pathPrefix,
    serverUri: {
      uri: `http://${host}`,
      httpUpstreamType: { case: "cluster" as const, value: cluster },
      timeout: durationOfMs(settings.timeoutMs),
    },
    ...(additional.length === 0 ? {} : { authorizationRequest: { headersToAdd: additional } }),
    ...(upstream.length + denied.length + allowed.length === 0
      ? {}
      : {
          authorizationResponse: {
            ...(upstream.length === 0 ? {} : { allowedUpstreamHeaders: patterns(upstream) }),
            ...(denied.length === 0 ? {} : { allowedClientHeaders: patterns(denied) }),
            ...(allowed.length === 0 ? {} : { allowedClientHeadersOnSuccess: patterns(allowed) }),
          },
        }),
  };
}

function allowedRequestHeaders(settings: HttpAuthorizationProvider): Pick<ExtAuthzInit, "allowedHeaders"> {
  return settings.includeRequestHeadersInCheck.length === 0
    ? {}
    : { allowedHeaders: patterns(settings.includeRequestHeadersInCheck) };
}

/** The matchers ignore case. */
function patterns(names: readonly string[]) {
  return { patterns: names.map((name) => ({ ...patternMatcher(name), ignoreCase: true })) };
}
