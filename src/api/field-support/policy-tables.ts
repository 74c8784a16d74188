import { acted, under, warned, type FieldTable } from "./field-table.ts";

const translate = "src/controlplane/translate/";
const features = `${translate}golden/features/`;
const security = "security.istio.io";
const securityTest = `${translate}security/security-filters.test.ts`;
const target = [
  "selector.matchLabels{}",
  ...under(["targetRef", "targetRefs[]"], "group", "kind", "name", "namespace"),
];

export const authorizationPolicyTable: FieldTable = {
  apiGroup: security,
  kind: "AuthorizationPolicy",
  rows: [
    acted("Selected workloads", "sgwz", `${translate}ambient/ambient-resources.test.ts`, ...target),
    acted("Actions and providers", "sgwz", securityTest, "action", "provider.name"),
    acted("Sources", "sgwz", securityTest, "rules[].from[].source.**"),
    acted("Operations", "sgwz", securityTest, "rules[].to[].operation.**"),
    acted(
      "Conditions",
      "sgw",
      `${features}authorization-conditions.yaml`,
      "rules[].when[].key",
      "rules[].when[].values[]",
      "rules[].when[].notValues[]",
    ),
  ],
};

export const peerAuthenticationTable: FieldTable = {
  apiGroup: security,
  kind: "PeerAuthentication",
  rows: [
    acted(
      "Mutual TLS",
      "sz",
      `${translate}inbound/inbound-resources.test.ts`,
      "selector.matchLabels{}",
      "mtls.mode",
      "portLevelMtls{}.mode",
    ),
  ],
};

export const requestAuthenticationTable: FieldTable = {
  apiGroup: security,
  kind: "RequestAuthentication",
  rows: [
    acted("Selected workloads", "sgw", securityTest, ...target),
    acted(
      "Issuers and keys",
      "sgw",
      securityTest,
      ...under(
        ["jwtRules[]"],
        "issuer",
        "audiences[]",
        "jwks",
        "jwksUri",
        "jwks_uri",
        "timeout",
        "spaceDelimitedClaims[]",
      ),
    ),
    acted(
      "Location of tokens",
      "sgw",
      `${features}request-authentication.yaml`,
      ...under(
        ["jwtRules[]"],
        "fromHeaders[].name",
        "fromHeaders[].prefix",
        "fromParams[]",
        "fromCookies[]",
        "forwardOriginalToken",
      ),
    ),
    acted(
      "Claims that the application receives",
      "sgw",
      `${features}request-authentication.yaml`,
      ...under(
        ["jwtRules[]"],
        "outputPayloadToHeader",
        "outputClaimToHeaders[].header",
        "outputClaimToHeaders[].claim",
      ),
    ),
  ],
};

export const telemetryTable: FieldTable = {
  apiGroup: "telemetry.istio.io",
  kind: "Telemetry",
  rows: [
    acted("Selected workloads", "sgw", `${translate}telemetry/telemetry-policies.test.ts`, ...target),
    acted(
      "Metrics",
      "sgw",
      `${features}telemetry-metrics.yaml`,
      "metrics[].providers[].name",
      "metrics[].overrides[].**",
      "metrics[].reportingInterval",
    ),
    acted(
      "Access logs",
      "sgw",
      `${features}telemetry-access-logs.yaml`,
      ...under(["accessLogging[]"], "providers[].name", "match.mode", "disabled", "filter.expression"),
    ),
    acted(
      "Traces",
      "sgw",
      `${features}telemetry-tracing-zipkin.yaml`,
      ...under(
        ["tracing[]"],
        "providers[].name",
        "match.mode",
        "randomSamplingPercentage",
        "disableSpanReporting",
        "disableContextPropagation",
      ),
    ),
    acted(
      "Spans",
      "sgw",
      `${features}telemetry-tracing-zipkin.yaml`,
      ...under(["tracing[]"], "customTags{}.**", "enableIstioTags", "useRequestIdForTraceSampling"),
    ),
  ],
};

const code = [
  "sha256",
  "imagePullPolicy",
  "imagePullSecret",
  "failStrategy",
  "pluginConfig",
  "pluginName",
  "type",
  "vmConfig.**",
];
const extensionsTest = "src/api/istio/policies.test.ts";
const wasmTest = "src/proxy/wasm/wasm-filter.test.ts";
const luaTest = "src/proxy/filters/lua-filter.test.ts";

export const wasmPluginTable: FieldTable = {
  apiGroup: "extensions.istio.io",
  kind: "WasmPlugin",
  rows: [
    acted(
      "Selected workloads, order",
      "sgw",
      extensionsTest,
      ...target,
      "phase",
      "priority",
      "match[].mode",
      "match[].ports[].number",
    ),
    acted("Module", "sgw", wasmTest, "url"),
    acted("Settings of the module", "sgw", extensionsTest, ...code),
    warned("Signatures", "verificationKey"),
  ],
};

export const trafficExtensionTable: FieldTable = {
  apiGroup: "extensions.istio.io",
  kind: "TrafficExtension",
  rows: [
    acted(
      "Selected workloads, order",
      "sgw",
      extensionsTest,
      "selector.matchLabels{}",
      ...under(["targetRefs[]"], "group", "kind", "name", "namespace"),
      "phase",
      "priority",
      "match[].mode",
      "match[].ports[].number",
    ),
    acted("Scripts", "sgw", luaTest, "lua.inlineCode"),
    acted("Modules", "sgw", wasmTest, "wasm.url"),
    acted("Settings of the module", "sgw", extensionsTest, ...under(["wasm"], ...code)),
    warned("Signatures", "wasm.verificationKey"),
  ],
};
