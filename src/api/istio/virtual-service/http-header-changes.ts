import { isFramingHeader } from "../../../base/index.ts";
import type { Reader } from "../../reader.ts";
import { checkEach } from "../checks.ts";
import { warnOfUnknown } from "../fields.ts";
import { exceedsFormat } from "../expressions/expression-bound.ts";
import { changedHeaderFault, checkNames, headerValueFault, requestHeaderFault } from "../expressions/http-headers.ts";

export interface HttpHeaderChanges {
  readonly request: HeaderOperations;
  readonly response: HeaderOperations;
}

export interface HeaderOperations {
  readonly set: Readonly<Record<string, string>>;
  readonly add: Readonly<Record<string, string>>;
  readonly remove: readonly string[];
}

const framingHint = "has no effect, because each proxy frames messages by itself";

export function readHeaders(reader: Reader): HttpHeaderChanges {
  const headers = reader.object("headers");
  const changes = {
    request: readOperations(headers?.object("request"), requestHeaderFault),
    response: readOperations(headers?.object("response"), changedHeaderFault),
  };
  warnOfUnknown(headers);
  return changes;
}

function readOperations(reader: Reader | undefined, nameFault: (name: string) => string | undefined): HeaderOperations {
  if (reader === undefined) return { set: {}, add: {}, remove: [] };
  const operations = { set: reader.stringMap("set"), add: reader.stringMap("add"), remove: reader.strings("remove") };
  for (const field of ["set", "add"] as const) {
    checkNames(reader, field, Object.keys(operations[field]), nameFault);
    for (const [name, value] of Object.entries(operations[field])) {
      if (isFramingHeader(name)) reader.warnNoEffect(framingHint, `${field}.${name}`);
      if (exceedsFormat(reader, `${field}.${name}`, value)) continue;
      const fault = headerValueFault(value);
      if (fault !== undefined) reader.error(fault, `${field}.${name}`);
    }
  }
  checkEach(reader, "remove", operations.remove, changedHeaderFault);
  for (const [index, name] of operations.remove.entries())
    if (isFramingHeader(name)) reader.warnNoEffect(framingHint, `remove[${index}]`);
  warnOfUnknown(reader);
  return operations;
}
