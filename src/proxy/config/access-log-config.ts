import type { AccessLog as AccessLogMessage, FileAccessLog, StdoutAccessLog, SubstitutionFormatString } from "../../wire/envoy/index.ts";
import { compileJsonFormat, compileTextFormat, envoyDefaultFormat, type LogFormat } from "../observe/log-format.ts";
import { unsupported } from "./config-check.ts";
import { compileLogFilter, type LogCriteria } from "./log-filter-config.ts";
import { unpack } from "./transport-config.ts";

export interface AccessLogSpec {
  readonly path: string;
  readonly format: LogFormat;
  /** Whether the log wants a record; undefined takes all. */
  readonly wants: ((record: LogCriteria) => boolean) | undefined;
}

/** Compiles file access logs. Throws an error that names what of them cannot be written. */
export function compileAccessLogs(messages: readonly AccessLogMessage[], outer: string): AccessLogSpec[] {
  return messages.map((message) => {
    const where = `${outer}: accessLog ${message.name}`;
    const wants = message.filter === undefined ? undefined : compileLogFilter(message.filter, where);
    const config = message.configType.case === "typedConfig" ? unpack(message.configType.value) : undefined;
    if (config?.$typeName === "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog") return { path: standardOutput, format: compileStreamFormat(config as StdoutAccessLog, where), wants };
    if (config?.$typeName !== "envoy.extensions.access_loggers.file.v3.FileAccessLog") throw unsupported(where, message.configType.value?.typeUrl ?? "no typedConfig");
    const file = config as FileAccessLog;
    return { path: file.path, format: compileFormat(file, where), wants };
  });
}

/** Where a log to the standard output goes. */
const standardOutput = "/dev/stdout";

function compileStreamFormat(log: StdoutAccessLog, where: string): LogFormat {
  const refuse = (operator: string): Error => unsupported(where, operator);
  const format = log.accessLogFormat;
  return format.case === undefined ? compileTextFormat(envoyDefaultFormat, refuse) : compileSubstitution(format.value, where, refuse);
}

function compileSubstitution(message: SubstitutionFormatString, where: string, refuse: (operator: string) => Error): LogFormat {
  const inner = message.format;
  if (inner.case === "textFormat") return compileTextFormat(inner.value, refuse);
  if (inner.case === "jsonFormat") return compileJsonFormat(inner.value, refuse);
  const source = inner.case === "textFormatSource" ? inner.value.specifier : undefined;
  if (source?.case === "inlineString") return compileTextFormat(source.value, refuse);
  throw unsupported(where, `logFormat.${inner.case ?? "(none)"}`);
}

function compileFormat(file: FileAccessLog, where: string): LogFormat {
  const refuse = (operator: string): Error => unsupported(where, operator);
  const format = file.accessLogFormat;
  switch (format.case) {
    case undefined:
      return compileTextFormat(envoyDefaultFormat, refuse);
    case "format":
      return compileTextFormat(format.value === "" ? envoyDefaultFormat : format.value, refuse);
    case "jsonFormat":
    case "typedJsonFormat":
      return compileJsonFormat(format.value, refuse);
    case "logFormat":
      return compileSubstitution(format.value, where, refuse);
  }
}
