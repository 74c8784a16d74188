import type { Reader } from "../../reader.ts";
import { readDurationMs, readPortNumber, requireText, warnOfUnknown } from "../fields.ts";

export interface ProviderService {
  /** A host name, or `namespace/host name`. */
  readonly service: string;
  readonly port: number;
}

export type ProviderHeaders = readonly { readonly name: string; readonly value: string }[];

export interface ProviderHttp {
  readonly path: string;
  readonly timeoutMs?: number | undefined;
  readonly headers: ProviderHeaders;
}

export function readServicePort(reader: Reader): ProviderService {
  return {
    service: requireText(reader, "service"),
    port: reader.required("port", readPortNumber(reader, "port")) ?? 0,
  };
}

/**
 * Reads the headers that are sent to a provider. Values from the control plane's environment are not supported, because
 * replicas may have different ones.
 */
export function readProviderHeaders(reader: Reader, field: string): ProviderHeaders {
  return reader.objects(field).flatMap((entry) => {
    const name = requireText(entry, "name");
    if (entry.has("envName")) {
      entry.warnNoEffect("has no effect here: the header is not sent; use value instead", "envName");
      return [];
    }
    const header = { name, value: entry.string("value") ?? "" };
    warnOfUnknown(entry);
    return header;
  });
}

export function readProviderHttp(reader: Reader): ProviderHttp {
  const http = {
    path: reader.string("path") ?? "",
    timeoutMs: readDurationMs(reader, "timeout"),
    headers: readProviderHeaders(reader, "headers"),
  };
  warnOfUnknown(reader);
  return http;
}
