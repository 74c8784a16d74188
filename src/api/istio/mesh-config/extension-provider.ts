import type { Reader } from "../../reader.ts";
import {
  readFileLog,
  readGrpcLog,
  readOpenTelemetryLog,
  type FileLogProvider,
  type GrpcLogProvider,
  type OpenTelemetryLogProvider,
} from "./access-log-provider.ts";
import {
  readGrpcAuthorization,
  readHttpAuthorization,
  type GrpcAuthorizationProvider,
  type HttpAuthorizationProvider,
} from "./authorization-provider.ts";
import { requireText, warnOfUnknown } from "../fields.ts";
import { readServicePort, type ProviderService } from "./provider-service.ts";
import {
  readDatadog,
  readOpenTelemetry,
  readSkyWalking,
  readZipkin,
  type TracingProvider,
} from "./tracing-provider.ts";

/** An external service that policies refer to, from `extensionProviders` of the mesh config. */
export type ExtensionProvider =
  | { readonly kind: "authorization-http"; readonly name: string; readonly settings: HttpAuthorizationProvider }
  | { readonly kind: "authorization-grpc"; readonly name: string; readonly settings: GrpcAuthorizationProvider }
  | { readonly kind: "access-log-file"; readonly name: string; readonly settings: FileLogProvider }
  | { readonly kind: "access-log-http" | "access-log-tcp"; readonly name: string; readonly settings: GrpcLogProvider }
  | { readonly kind: "access-log-opentelemetry"; readonly name: string; readonly settings: OpenTelemetryLogProvider }
  | { readonly kind: "tracing"; readonly name: string; readonly settings: TracingProvider }
  | { readonly kind: "prometheus"; readonly name: string }
  /** Serves certificates by Envoy's secret discovery service (SDS). */
  | { readonly kind: "secrets"; readonly name: string; readonly settings: ProviderService }
  /** A kind of provider that has no effect here. */
  | { readonly kind: "other"; readonly name: string };

type Read = (name: string, reader: Reader) => ExtensionProvider;

const readers: Readonly<Record<string, Read>> = {
  envoyExtAuthzHttp: (name, reader) => ({ kind: "authorization-http", name, settings: readHttpAuthorization(reader) }),
  envoyExtAuthzGrpc: (name, reader) => ({ kind: "authorization-grpc", name, settings: readGrpcAuthorization(reader) }),
  envoyFileAccessLog: (name, reader) => ({ kind: "access-log-file", name, settings: readFileLog(reader) }),
  envoyHttpAls: (name, reader) => ({ kind: "access-log-http", name, settings: readGrpcLog(reader, "http") }),
  envoyTcpAls: (name, reader) => ({ kind: "access-log-tcp", name, settings: readGrpcLog(reader, "tcp") }),
  envoyOtelAls: (name, reader) => ({ kind: "access-log-opentelemetry", name, settings: readOpenTelemetryLog(reader) }),
  zipkin: (name, reader) => ({ kind: "tracing", name, settings: readZipkin(reader) }),
  opentelemetry: (name, reader) => ({ kind: "tracing", name, settings: readOpenTelemetry(reader) }),
  datadog: (name, reader) => ({ kind: "tracing", name, settings: readDatadog(reader) }),
  skywalking: (name, reader) => ({ kind: "tracing", name, settings: readSkyWalking(reader) }),
  prometheus: (name, reader) => {
    warnOfUnknown(reader);
    return { kind: "prometheus", name };
  },
  sds: (name, reader) => {
    const settings = readServicePort(reader);
    // As in upstream, `sds.name` has no effect. The name beside `sds` is the provider's name.
    reader.string("name");
    warnOfUnknown(reader);
    return { kind: "secrets", name, settings };
  },
};
/** Providers that upstream removed, or never implemented in proxies. */
const withoutEffect = ["lightstep", "opencensus", "stackdriver"];

export function readExtensionProviders(reader: Reader): readonly ExtensionProvider[] {
  const seen = new Set<string>();
  let secrets: string | undefined;
  return reader.objects("extensionProviders").map((entry) => {
    const name = requireText(entry, "name");
    if (seen.has(name)) entry.error(`appears twice, got "${name}"; rename one`, "name");
    seen.add(name);
    const found = Object.entries(readers).flatMap(([field, read]) => {
      const settings = entry.object(field);
      return settings === undefined ? [] : [read(name, settings)];
    });
    for (const field of withoutEffect) if (entry.has(field)) entry.warnNoEffect("has no effect here", field);
    const [provider, ...others] = found;
    if (others.length > 0) entry.error("must have one kind of provider only; write one entry for each");
    if (provider?.kind === "secrets") {
      if (secrets !== undefined)
        entry.warnNoEffect(
          `has no effect: certificates named sds://… come from the first SDS provider, "${secrets}"; remove one of them`,
          "sds",
        );
      secrets ??= name;
    }
    warnOfUnknown(entry);
    return provider ?? { kind: "other", name };
  });
}
