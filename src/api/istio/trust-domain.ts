import { isDnsLabel } from "./domain-names.ts";

/** What is wrong with the name of a trust domain; undefined: nothing. */
export function trustDomainFault(text: string): string | undefined {
  return text.replace(/\.$/, "").split(".").every(isDnsLabel)
    ? undefined
    : `must be a trust domain such as cluster.local, got "${text}"`;
}
