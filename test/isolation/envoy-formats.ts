// What Envoy rejects in tables of routes and listeners: formats of headers and tags, and some other values. Serin's
// proxies accept them.
import { fromBinary } from "@bufbuild/protobuf";
import { anyUnpack, AnySchema } from "@bufbuild/protobuf/wkt";
import { envoyFormatFault, headerValueFault } from "../../src/api/istio/http-headers.ts";
import type { EncodedResource } from "../../src/controlplane/translate/index.ts";
import { HttpConnectionManagerSchema, ListenerSchema, RouteConfigurationSchema } from "../../src/wire/envoy/index.ts";

/** The most bytes of a direct response's body, unless a table of routes sets its own limit. */
const maxBodyBytes = 4096;

/** Returns why Envoy rejects the formats of a listener or a table of routes. */
export function formatFaults(type: string, { name, any }: EncodedResource): string[] {
  const bytes = fromBinary(AnySchema, any).value;
  const message =
    type === "listener"
      ? fromBinary(ListenerSchema, bytes)
      : type === "route"
        ? fromBinary(RouteConfigurationSchema, bytes)
        : undefined;
  return faultsIn(message).map((fault) => `${name}: ${fault}`);
}

function faultsIn(value: unknown): string[] {
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value)) return [];
  const { $typeName: type } = value as { readonly $typeName?: string };
  const own = type === undefined ? undefined : ownFault(type, value as Readonly<Record<string, unknown>>);
  const packed = type === "google.protobuf.Any" ? anyUnpack(value as never, HttpConnectionManagerSchema) : undefined;
  return [...(own === undefined ? [] : [own]), ...Object.values(value).flatMap(faultsIn), ...faultsIn(packed)];
}

function ownFault(type: string, message: Readonly<Record<string, unknown>>): string | undefined {
  switch (type) {
    case "envoy.config.core.v3.HeaderValueOption": {
      const { key = "", value = "" } = (message["header"] ?? {}) as { readonly key?: string; readonly value?: string };
      const fault = headerValueFault(value);
      return fault === undefined ? undefined : `the header ${key} ${fault}`;
    }
    case "envoy.type.tracing.v3.CustomTag": {
      const { case: kind, value } = message["type"] as { readonly case?: string; readonly value?: unknown };
      const fault = kind === "value" && typeof value === "string" ? envoyFormatFault(value, "tag") : undefined;
      return fault === undefined ? undefined : `the tag ${String(message["tag"])} ${fault}`;
    }
    case "envoy.config.route.v3.RouteAction":
    case "envoy.config.route.v3.RedirectAction":
    case "envoy.type.matcher.v3.RegexMatchAndSubstitute": {
      const broken = textsOf(message).find((text) => /[\r\n\0]/.test(text));
      return broken === undefined ? undefined : `a line break in ${JSON.stringify(broken)}`;
    }
    case "envoy.config.route.v3.RetryPolicy.RetryBackOff": {
      const { seconds = 0n, nanos = 0 } = (message["baseInterval"] ?? {}) as { seconds?: bigint; nanos?: number };
      return seconds > 0n || nanos > 0 ? undefined : "a retry without a backoff";
    }
    case "envoy.config.route.v3.DirectResponseAction": {
      const { specifier } = (message["body"] ?? {}) as {
        readonly specifier?: { readonly value?: string | Uint8Array };
      };
      const size = Buffer.from(specifier?.value ?? "").length;
      return size > maxBodyBytes ? `a direct response of ${size} bytes` : undefined;
    }
    default:
      return undefined;
  }
}

/** The texts of the message's own fields, also of those of which it has one. */
function textsOf(message: Readonly<Record<string, unknown>>): string[] {
  return Object.values(message)
    .map((value) =>
      typeof value === "object" && value !== null && "case" in value ? Reflect.get(value, "value") : value,
    )
    .filter((value) => typeof value === "string");
}
