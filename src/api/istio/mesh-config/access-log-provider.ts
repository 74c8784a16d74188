import type { Reader } from "../../reader.ts";
import { readText, warnOfUnknown } from "../fields.ts";
import { readServicePort, type ProviderService } from "./provider-service.ts";

export interface FileLogProvider {
  readonly path: string;
  /** The format of a text log. Empty means the format of the mesh config, or else Istio's default. */
  readonly text: string;
  /** The fields of a JSON log, by key. Absent for a text log. */
  readonly labels?: Readonly<Record<string, unknown>> | undefined;
  /** Whether the provider itself sets a format. Otherwise the mesh config's format applies. */
  readonly hasFormat: boolean;
  readonly omitEmptyValues: boolean;
}

export interface GrpcLogProvider extends ProviderService {
  /** Absent means the protocol's default. */
  readonly logName?: string | undefined;
  readonly filterStateObjectsToLog: readonly string[];
  readonly additionalRequestHeadersToLog: readonly string[];
  readonly additionalResponseHeadersToLog: readonly string[];
  readonly additionalResponseTrailersToLog: readonly string[];
}

export interface OpenTelemetryLogProvider extends ProviderService {
  readonly logName?: string | undefined;
  readonly text: string;
  readonly labels: Readonly<Record<string, unknown>>;
}

export function readFileLog(reader: Reader): FileLogProvider {
  const format = reader.object("logFormat");
  const labels = format?.object("labels");
  const provider: FileLogProvider = {
    path: readText(reader, "path") ?? "/dev/stdout",
    text: format?.string("text") ?? "",
    labels: labels?.raw as Readonly<Record<string, unknown>> | undefined,
    hasFormat: format !== undefined,
    omitEmptyValues: reader.boolean("omitEmptyValues") ?? false,
  };
  if (format?.has("text") === true && format.has("labels")) format.error("cannot be combined with text", "labels");
  warnOfUnknown(format);
  warnOfUnknown(reader);
  return provider;
}

/** Reads a gRPC access log provider. A TCP log has no fields for headers. */
export function readGrpcLog(reader: Reader, protocol: "http" | "tcp"): GrpcLogProvider {
  const isHttp = protocol === "http";
  const provider: GrpcLogProvider = {
    ...readServicePort(reader),
    logName: readText(reader, "logName"),
    filterStateObjectsToLog: reader.strings("filterStateObjectsToLog"),
    additionalRequestHeadersToLog: isHttp ? reader.strings("additionalRequestHeadersToLog") : [],
    additionalResponseHeadersToLog: isHttp ? reader.strings("additionalResponseHeadersToLog") : [],
    additionalResponseTrailersToLog: isHttp ? reader.strings("additionalResponseTrailersToLog") : [],
  };
  warnOfUnknown(reader);
  return provider;
}

export function readOpenTelemetryLog(reader: Reader): OpenTelemetryLogProvider {
  const format = reader.object("logFormat");
  const provider: OpenTelemetryLogProvider = {
    ...readServicePort(reader),
    logName: readText(reader, "logName"),
    text: format?.string("text") ?? "",
    labels: (format?.object("labels")?.raw as Readonly<Record<string, unknown>> | undefined) ?? {},
  };
  warnOfUnknown(format);
  warnOfUnknown(reader);
  return provider;
}
