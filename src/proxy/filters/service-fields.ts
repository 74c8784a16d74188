import type { HeaderValueOption } from "../../wire/envoy/index.ts";

import { utf8HeadText } from "../terms/header-text.ts";

type SentField = Pick<HeaderValueOption, "header">;

/** A field that a service tells the proxy to set. The name is in lower case. */
export function fieldOf(option: SentField): readonly [name: string, value: string] {
  const raw = option.header?.rawValue;
  return [
    (option.header?.key ?? "").toLowerCase(),
    raw === undefined || raw.length === 0
      ? utf8HeadText(option.header?.value ?? "")
      : Buffer.from(raw).toString("latin1"),
  ];
}

/** The fields that a service may set. Headers that frame an answer are set only by the proxy. */
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

/** Whether the value is a single header line. */
export function isField(name: string, value: string): boolean {
  return /^[!#$%&'*+\-.^_`|~0-9a-z]+$/.test(name) && !/[\r\n\0]/.test(value);
}
