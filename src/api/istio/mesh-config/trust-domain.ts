import { isDnsLabel } from "../domain-names.ts";

/** The fault of a trust domain's name. Undefined if it is valid. */
export function trustDomainFault(text: string): string | undefined {
  return text.replace(/\.$/, "").split(".").every(isDnsLabel)
    ? undefined
    : `must be a trust domain such as cluster.local, got "${text}"`;
}
