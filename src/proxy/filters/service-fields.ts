import type { HeaderValueOption } from "../../wire/envoy/index.ts";
import { fieldName } from "../../wire/http2/index.ts";
import { headTextOf } from "../terms/header-text.ts";

type SentField = Pick<HeaderValueOption, "header">;

/** A header field that an external service tells the proxy to set. The name is in lower case. */
export function fieldOf(option: SentField): readonly [name: string, value: string] {
  return [(option.header?.key ?? "").toLowerCase(), headTextOf(option.header)];
}

/**
 * The header fields that an external service may set. Fields that frame a message are dropped, because only the proxy
 * sets them.
 */
export function fieldsOf(options: readonly SentField[]): (readonly [name: string, value: string])[] {
  return options.map(fieldOf).filter(([name, value]) => isField(name, value) && !framing.has(name));
}

const framing: ReadonlySet<string> = new Set([
  "content-length",
  "transfer-encoding",
  "connection",
  "upgrade",
  "keep-alive",
]);

export function isField(name: string, value: string): boolean {
  return fieldName.test(name) && !/[\r\n\0]/.test(value);
}
