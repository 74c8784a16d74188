import {
  ApiVersion,
  HttpRateLimitPerRouteSchema,
  HttpRateLimitSchema,
  type HttpRateLimit,
  type HttpRateLimitPerRoute,
} from "../../../wire/envoy/index.ts";
import { grpcRateLimit } from "../../filters/rate-limit/grpc-rate-limit.ts";
import { RateLimitRouteSettings, type RateLimitSettings } from "../../filters/rate-limit/rate-limit-filter.ts";
import { checkFields, durationOr, invalid, unsupported, type ConfigNotes } from "../config-check.ts";
import { fractionOf } from "../fraction.ts";
import { compileGrpcService } from "./grpc-service-config.ts";
import { compileMutation } from "../header-mutation-config.ts";
import {
  checkStage,
  compileFilterRules,
  hostRulesOf,
  refusalStatus,
  resourceExhausted,
  sendsLimitFields,
} from "../rate-limits/rate-limit-config.ts";

const defaultTimeoutMs = 20;
/** The longest timeout in milliseconds that gRPC can transmit to a service. */
const maxTimeoutMs = 99_999_999;

export function compileRateLimit(message: HttpRateLimit, where: string, notes: ConfigNotes): RateLimitSettings {
  checkFields(HttpRateLimitSchema, message, where, notes, {
    used: [
      "domain",
      "stage",
      "requestType",
      "timeout",
      "failureModeDeny",
      "failureModeDenyPercent",
      "rateLimitedAsResourceExhausted",
      "rateLimitService",
      "disableXEnvoyRatelimitedHeader",
      "rateLimitedStatus",
      "responseHeadersToAdd",
      "statusOnError",
      "statPrefix",
      "filterEnabled",
      "filterEnforced",
      "rateLimits",
      "metadataNamespace",
      "enableXRatelimitHeaders",
    ],
  });
  if (message.domain === "") throw invalid(where, "domain must not be empty");
  checkStage(message.stage, where);
  if (message.requestType !== "" && message.requestType !== "both")
    throw unsupported(where, `requestType ${message.requestType}`);
  const deny = message.failureModeDeny ? 1 : 0;
  return {
    domain: message.domain,
    ask: grpcRateLimit(targetOf(message, where, notes)),
    stage: message.stage,
    rules: compileFilterRules(message.rateLimits, ["actions", "limit", "hitsAddend"], where, notes),
    enabled: fractionOf(message.filterEnabled?.defaultValue, 1),
    enforced: fractionOf(message.filterEnforced?.defaultValue, 1),
    deniesOnFailure: fractionOf(message.failureModeDenyPercent?.defaultValue, deny),
    status: refusalStatus(message.rateLimitedStatus),
    statusOnError: message.statusOnError?.code || 500,
    grpcStatus: message.rateLimitedAsResourceExhausted ? resourceExhausted : undefined,
    sendsLimitFields: sendsLimitFields(message.enableXRatelimitHeaders),
    marksRefusal: !message.disableXEnvoyRatelimitedHeader,
    answer: compileMutation(message.responseHeadersToAdd, [], "response", `${where}: responseHeadersToAdd`, notes),
    metadataNamespace: message.metadataNamespace || "envoy.filters.http.ratelimit",
    statPrefix: message.statPrefix === "" ? "" : `${message.statPrefix}.`,
  };
}

function targetOf(message: HttpRateLimit, where: string, notes: ConfigNotes): Parameters<typeof grpcRateLimit>[0] {
  const service = message.rateLimitService;
  if (service?.grpcService === undefined) throw invalid(where, "rateLimitService.grpcService must be set");
  if (service.transportApiVersion !== ApiVersion.V3)
    throw unsupported(where, `rateLimitService.transportApiVersion ${ApiVersion[service.transportApiVersion]}`);
  const target = compileGrpcService(service.grpcService, 0, `${where}: rateLimitService`, notes);
  // The filter's timeout applies, and not that of its gRPC service.
  return { ...target, timeoutMs: durationOr(message.timeout, defaultTimeoutMs) || maxTimeoutMs };
}

export function compileRateLimitPerRoute(
  message: HttpRateLimitPerRoute,
  where: string,
  notes: ConfigNotes,
): RateLimitRouteSettings {
  checkFields(HttpRateLimitPerRouteSchema, message, where, notes, {
    used: ["vhRateLimits", "rateLimits", "domain"],
  });
  return new RateLimitRouteSettings({
    hostRules: hostRulesOf(message.vhRateLimits),
    rules: compileFilterRules(message.rateLimits, ["actions", "limit", "hitsAddend"], where, notes),
    domain: message.domain === "" ? undefined : message.domain,
  });
}
