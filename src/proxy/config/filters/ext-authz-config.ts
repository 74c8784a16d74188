import {
  AuthorizationRequestSchema,
  AuthorizationResponseSchema,
  BufferSettingsSchema,
  CheckSettingsSchema,
  ExtAuthzPerRouteSchema,
  ExtAuthzSchema,
  HttpServiceSchema,
  NetworkExtAuthzSchema,
  type BufferSettings,
  type ExtAuthz,
  type ExtAuthzPerRoute,
  type GrpcService,
  type HttpService,
  type ListStringMatcher,
  type NetworkExtAuthz,
} from "../../../wire/envoy/index.ts";
import {
  ExtAuthzRouteSettings,
  type AskAuthorization,
  type BodyRules,
  type ExtAuthzSettings,
} from "../../filters/authorization/ext-authz-filter.ts";
import {
  grpcAuthorization,
  grpcConnectionAuthorization,
  type GrpcAuthorizationOptions,
} from "../../filters/authorization/grpc-authorization.ts";
import { httpAuthorization } from "../../filters/authorization/http-authorization.ts";
import type { NetworkExtAuthzSettings } from "../../filters/authorization/network-ext-authz-filter.ts";
import type { StringMatcher } from "../../routing/matchers.ts";
import { utf8HeadText } from "../../terms/header-text.ts";
import { checkFields, durationOr, invalid, refuseUnknown, type ConfigNotes } from "../config-check.ts";
import { fractionOf } from "../fraction.ts";
import { compileGrpcService } from "./grpc-service-config.ts";
import { compileString } from "../matchers/matcher-config.ts";
import { compileMetadata } from "../matchers/metadata-matcher-config.ts";

const defaultTimeoutMs = 200;
const forbidden = 403;

export function compileExtAuthz(message: ExtAuthz, where: string, notes: ConfigNotes): ExtAuthzSettings {
  checkFields(ExtAuthzSchema, message, where, notes, {
    used: [
      "grpcService",
      "httpService",
      "failureModeAllow",
      "failureModeAllowHeaderAdd",
      "clearRouteCache",
      "statusOnError",
      "metadataContextNamespaces",
      "filterEnabled",
      "filterEnabledMetadata",
      "includePeerCertificate",
      "allowedHeaders",
      "disallowedHeaders",
      "includeTlsSession",
      "withRequestBody",
    ],
    harmless: [
      "transportApiVersion",
      "statPrefix",
      "bootstrapMetadataLabelsKey",
      "chargeClusterResponseStats",
      "enableDynamicMetadataIngestion",
      "filterMetadata",
      "emitFilterStateStats",
      "emitClientSpan",
    ],
  });
  refuseUnknown(ExtAuthzSchema, message, where);
  const byMetadata =
    message.filterEnabledMetadata === undefined ? undefined : compileMetadata(message.filterEnabledMetadata, where);
  const fraction = fractionOf(message.filterEnabled?.defaultValue, 1);
  const { random } = notes.services;
  return {
    ask: compileService(message, where, notes),
    allowsOnFailure: message.failureModeAllow,
    marksFailure: message.failureModeAllowHeaderAdd,
    statusOnError: message.statusOnError?.code ?? forbidden,
    enabled: (request) =>
      (byMetadata === undefined || byMetadata(request.metadata)) && (fraction >= 1 || random() < fraction),
    clearsRoute: message.clearRouteCache,
    body: compileBody(message.withRequestBody, where, notes),
  };
}

export function compileExtAuthzPerRoute(
  message: ExtAuthzPerRoute,
  where: string,
  notes: ConfigNotes,
): ExtAuthzRouteSettings {
  checkFields(ExtAuthzPerRouteSchema, message, where, notes, { used: ["disabled", "checkSettings"] });
  if (message.override.case !== "checkSettings")
    return new ExtAuthzRouteSettings(message.override.case === "disabled" && message.override.value, {});
  checkFields(CheckSettingsSchema, message.override.value, where, notes, {
    used: ["contextExtensions", "disableRequestBodyBuffering", "withRequestBody"],
    harmless: ["emitClientSpan"],
  });
  const { contextExtensions, disableRequestBodyBuffering, withRequestBody } = message.override.value;
  return new ExtAuthzRouteSettings(
    false,
    contextExtensions,
    disableRequestBodyBuffering ? "none" : compileBody(withRequestBody, where, notes),
  );
}

/** The maximum size of a request's body that is buffered for the authorization service. */
const maxShownBodyBytes = 16 * 1024 * 1024;

function compileBody(message: BufferSettings | undefined, where: string, notes: ConfigNotes): BodyRules | undefined {
  if (message === undefined) return undefined;
  checkFields(BufferSettingsSchema, message, where, notes, {
    used: ["maxRequestBytes", "allowPartialMessage", "packAsBytes"],
  });
  if (message.maxRequestBytes === 0) throw invalid(where, "withRequestBody.maxRequestBytes must be above 0");
  if (message.maxRequestBytes > maxShownBodyBytes)
    notes.tell(`${where}: withRequestBody: at most ${maxShownBodyBytes} bytes of a body are buffered`);
  return { maxBytes: Math.min(message.maxRequestBytes, maxShownBodyBytes), partial: message.allowPartialMessage };
}

function compileService(message: ExtAuthz, where: string, notes: ConfigNotes): AskAuthorization {
  const { services } = message;
  const sentFields = sentFieldsOf(message, where);
  if (services.case === "httpService")
    return compileHttpService(services.value, sentFields, `${where}: httpService`, notes);
  if (services.case === "grpcService")
    return grpcAuthorization(
      grpcOptions(services.value, sentFields ?? (() => true), message, `${where}: grpcService`, notes),
    );
  throw invalid(where, "it has no service");
}

export function compileNetworkExtAuthz(
  message: NetworkExtAuthz,
  where: string,
  notes: ConfigNotes,
): NetworkExtAuthzSettings {
  checkFields(NetworkExtAuthzSchema, message, where, notes, {
    used: [
      "grpcService",
      "failureModeAllow",
      "includePeerCertificate",
      "filterEnabledMetadata",
      "includeTlsSession",
      "metadataContextNamespaces",
    ],
    harmless: ["statPrefix", "transportApiVersion", "bootstrapMetadataLabelsKey"],
  });
  refuseUnknown(NetworkExtAuthzSchema, message, where);
  if (message.grpcService === undefined) throw invalid(where, "it has no service");
  const options = grpcOptions(message.grpcService, () => true, message, `${where}: grpcService`, notes);
  return {
    ask: grpcConnectionAuthorization(options),
    allowsOnFailure: message.failureModeAllow,
    enabled:
      message.filterEnabledMetadata === undefined ? () => true : compileMetadata(message.filterEnabledMetadata, where),
    timeoutMs: options.timeoutMs,
  };
}

function sentFieldsOf(message: ExtAuthz, where: string): StringMatcher | undefined {
  const allowed = anyOf(message.allowedHeaders, where);
  const disallowed = anyOf(message.disallowedHeaders, where);
  if (disallowed === undefined) return allowed;
  return (name) => (allowed === undefined || allowed(name)) && !disallowed(name);
}

function anyOf(list: ListStringMatcher | undefined, where: string): StringMatcher | undefined {
  if (list === undefined) return undefined;
  const matchers = list.patterns.map((pattern) => compileString({ ...pattern, ignoreCase: true }, where));
  return (name) => matchers.some((matches) => matches(name));
}

const none: StringMatcher = () => false;

function compileHttpService(
  message: HttpService,
  sentFields: StringMatcher | undefined,
  where: string,
  notes: ConfigNotes,
): AskAuthorization {
  checkFields(HttpServiceSchema, message, where, notes, {
    used: ["serverUri", "pathPrefix", "pathOverride", "authorizationRequest", "authorizationResponse"],
  });
  const { serverUri, authorizationRequest: request, authorizationResponse: response } = message;
  if (serverUri === undefined || serverUri.httpUpstreamType.case !== "cluster")
    throw invalid(where, "serverUri must name a cluster");
  if (request !== undefined)
    checkFields(AuthorizationRequestSchema, request, where, notes, { used: ["allowedHeaders", "headersToAdd"] });
  if (response !== undefined) {
    checkFields(AuthorizationResponseSchema, response, where, notes, {
      used: [
        "allowedUpstreamHeaders",
        "allowedUpstreamHeadersToAppend",
        "allowedClientHeaders",
        "allowedClientHeadersOnSuccess",
      ],
    });
  }
  return httpAuthorization({
    cluster: serverUri.httpUpstreamType.value,
    timeoutMs: durationOr(serverUri.timeout, defaultTimeoutMs),
    pathPrefix: message.pathPrefix,
    pathOverride: message.pathOverride,
    isSent: sentFields ?? anyOf(request?.allowedHeaders, where) ?? none,
    added: (request?.headersToAdd ?? []).map(({ key, value }) => [key.toLowerCase(), utf8HeadText(value)] as const),
    toUpstream: anyOf(response?.allowedUpstreamHeaders, where) ?? none,
    toUpstreamAppended: anyOf(response?.allowedUpstreamHeadersToAppend, where) ?? none,
    toClient: anyOf(response?.allowedClientHeaders, where),
    toClientOnSuccess: anyOf(response?.allowedClientHeadersOnSuccess, where) ?? none,
    callCluster: notes.services.callCluster,
  });
}

function grpcOptions(
  service: GrpcService,
  sentFields: StringMatcher,
  message: Pick<ExtAuthz, "includePeerCertificate" | "includeTlsSession" | "metadataContextNamespaces"> &
    Partial<Pick<ExtAuthz, "withRequestBody">>,
  where: string,
  notes: ConfigNotes,
): GrpcAuthorizationOptions {
  return {
    ...compileGrpcService(service, defaultTimeoutMs, where, notes),
    isSent: sentFields,
    includesCertificate: message.includePeerCertificate,
    includesTlsSession: message.includeTlsSession,
    packsBodyAsBytes: message.withRequestBody?.packAsBytes ?? false,
    metadataNamespaces: message.metadataContextNamespaces,
    clock: notes.services.clock,
  };
}
