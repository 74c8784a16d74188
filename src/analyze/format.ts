import { withoutControls } from "../base/index.ts";
import type { Level } from "./level.ts";
import type { Message } from "./message.ts";
import { nameOf, referenceOf } from "./resource.ts";

/** A message for programs. The fields are istioctl's. */
export interface PlainMessage {
  readonly code: string;
  readonly documentationUrl: string;
  readonly level: Level;
  readonly message: string;
  readonly origin?: string;
  readonly reference?: string;
}

const documentation = "https://istio.io/v1.31/docs/reference/config/analysis";
const colours: Readonly<Record<Level, string>> = { Error: "\u001B[1;31m", Warning: "\u001B[33m", Info: "" };
const plainColour = "\u001B[0m";

/** For example `Error [IST0101] (VirtualService default/reviews file.yaml:12) what is wrong`. */
export function formatMessage(
  { type, resource, path, text }: Message,
  { colour }: { readonly colour: boolean },
): string {
  const reference = resource === undefined ? undefined : referenceOf(resource, path);
  const origin = resource === undefined ? "" : ` (${[nameOf(resource), reference ?? []].flat().join(" ")})`;
  const level = colour ? `${colours[type.level]}${type.level}${plainColour}` : type.level;
  return `${level} [${type.code}]${withoutControls(origin)} ${withoutControls(text)}`;
}

/** A message in the form of `istioctl analyze -o json`. */
export function plainMessage({ type, resource, path, text }: Message): PlainMessage {
  const reference = resource === undefined ? undefined : referenceOf(resource, path);
  return {
    code: type.code,
    // Istio's site describes only Istio's codes. The text of Serin's own messages says all.
    documentationUrl: type.isOfIstio ? `${documentation}/${type.code.toLowerCase()}/` : "",
    level: type.level,
    message: text,
    ...(resource === undefined ? {} : { origin: nameOf(resource) }),
    ...(reference === undefined ? {} : { reference }),
  };
}
